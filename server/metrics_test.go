package server_test

import (
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/product"
)

// tally counts answers and messages of streams.
type tally struct {
	servertest.Uncounted
	mu                       sync.Mutex
	verified, received, sent int
	started, handled         int
}

func (m *tally) add(to *int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*to++
}

func (m *tally) Verified(product.ID, product.Verdict, product.Billing, bool) { m.add(&m.verified) }
func (m *tally) Received(string)                                             { m.add(&m.received) }
func (m *tally) Sent(string)                                                 { m.add(&m.sent) }

func (m *tally) Started(string)                            { m.add(&m.started) }
func (m *tally) Handled(string, codes.Code, time.Duration) { m.add(&m.handled) }

func (m *tally) calls() (started, handled int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.started, m.handled
}

func (m *tally) answers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.verified
}

func (m *tally) messages() [2]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return [2]int{m.received, m.sent}
}

// TestAnswersCounted: what counts as answered is in log and ledger; an answer that was voided, replayed or is not known
// to be in the ledger does not.
func TestAnswersCounted(t *testing.T) {
	m := &tally{}
	w := newWorld(t, servertest.Options{Metrics: m})
	during := -1
	w.store.Hook(func(method string) error {
		if method == "Commit" {
			during = m.answers()
		}
		return nil
	})
	call := func(id string, code codes.Code, want int) {
		t.Helper()
		if seen, _ := verify(w.bank.Conn, w.Request(id, 1)); seen.Code != code {
			t.Fatalf("%s: %v", id, seen.Err)
		}
		if got := m.answers(); got != want {
			t.Errorf("%s: %d answers counted, want %d", id, got, want)
		}
	}
	call("a", codes.OK, 1)
	if during != 0 {
		t.Errorf("%d answers counted before the ledger had one", during)
	}
	w.store.Hook(nil)
	call("a", codes.OK, 1) // a replay
	refuse := func(f *fault.Fault) {
		w.store.Hook(func(method string) error {
			if method == "Commit" {
				return f
			}
			return nil
		})
	}
	refuse(fault.New(fault.ConsentWithdrawn))
	call("b", codes.FailedPrecondition, 1)
	refuse(fault.New(fault.StoreUnavailable))
	call("c", codes.Unavailable, 1)
	w.store.Hook(nil)
	if seen, _ := batch(w.bank.Conn, w.Request("d", 1), w.Request("e", 2), w.Request("a", 1)); seen.Code != codes.OK {
		t.Fatal(seen.Err)
	}
	if got := m.answers(); got != 3 {
		t.Errorf("%d answers counted after a batch of two new ones and a replay, want 3", got)
	}
}

// TestStreamMessagesCounted: each message of a stream counts, on its way in and out.
func TestStreamMessagesCounted(t *testing.T) {
	m := &tally{}
	w := newWorld(t, servertest.Options{Metrics: m})
	before := m.messages()
	if seen, _ := list(w.audit, nil); seen.Code != codes.OK {
		t.Fatal(seen.Err)
	}
	after := m.messages()
	if in, out := after[0]-before[0], after[1]-before[1]; in != 1 || out < 1 {
		t.Errorf("%d messages in, %d out", in, out)
	}
}
