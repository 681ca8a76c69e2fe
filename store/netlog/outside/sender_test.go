package outside

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// flaky notes when it was asked to send what, and fails while told to.
type flaky struct {
	fail  atomic.Bool
	begun time.Time
	mu    sync.Mutex
	at    []time.Duration
	notes []string
}

// asked returns when it was asked, and what arrived.
func (f *flaky) asked() (at []time.Duration, notes string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.at), strings.Join(f.notes, " ")
}

func (f *flaky) send(_ context.Context, note []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = append(f.at, time.Since(f.begun))
	if f.fail.Load() {
		return errors.New("down")
	}
	f.notes = append(f.notes, string(note))
	return nil
}

func (f *flaky) read(context.Context, func(io.Reader) (bool, error)) error { return errWriteOnly }

// notepad is what the operator is told.
type notepad struct {
	mu   sync.Mutex
	text strings.Builder
}

func (n *notepad) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(b)
}

func (n *notepad) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

// stuck is a target that never answers, whatever its caller's time, until it is let go.
type stuck struct{ held chan struct{} }

func (s stuck) send(context.Context, []byte) error {
	<-s.held
	return errors.New("too late")
}

func (s stuck) read(context.Context, func(io.Reader) (bool, error)) error { return errWriteOnly }

func sending(f carrier, note *atomic.Value, every time.Duration) (*Sender, func() string) {
	said := &notepad{}
	s := NewSender(SenderOptions{
		Targets: []*Target{{Number: 1, Kind: File, carrier: f}}, Newest: func() []byte { return []byte(note.Load().(string)) },
		Every: every, Now: time.Now, Logger: slog.New(slog.NewTextHandler(said, nil)),
	})
	return s, said.String
}

// What is newest is sent at once, then every so often where it is another one, and at the end.
func TestSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var newest atomic.Value
		newest.Store("one")
		f := &flaky{begun: time.Now()}
		s, said := sending(f, &newest, time.Minute)
		s.Start()
		time.Sleep(90 * time.Second)
		synctest.Wait()
		newest.Store("two")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		newest.Store("three")
		if at := s.Lines[0].Sent(); !at.Equal(f.begun.Add(2 * time.Minute)) {
			t.Errorf("sent last at %v", at.Sub(f.begun))
		}
		s.Close(t.Context())
		s.Close(t.Context())
		if at, got := f.asked(); got != "one two three" || len(at) != 3 || at[1] != 2*time.Minute {
			t.Errorf("sent %q at %v", got, at)
		}
		if s.Lines[0].Failures() != 0 || said() != "" {
			t.Errorf("said %s", said())
		}
	})
}

// A target that fails is tried again, ever more rarely, and the operator is told once an hour.
func TestSenderBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var newest atomic.Value
		newest.Store("one")
		f := &flaky{begun: time.Now()}
		f.fail.Store(true)
		s, said := sending(f, &newest, 10*time.Second)
		s.Start()
		time.Sleep(26 * time.Second)
		synctest.Wait()
		want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 25 * time.Second}
		if at, _ := f.asked(); !slices.Equal(at, want) {
			t.Errorf("tried at %v, want %v", at, want)
		}
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if n := strings.Count(said(), "could not be sent"); n != 1 {
			t.Errorf("said %d times within an hour", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := strings.Count(said(), "could not be sent"); n != 2 {
			t.Errorf("said %d times in an hour", n)
		}
		tried := func() int { at, _ := f.asked(); return len(at) }
		if n := s.Lines[0].Failures(); n != uint64(tried()) || !s.Lines[0].Sent().IsZero() {
			t.Errorf("%d failures of %d attempts", n, tried())
		}
		newest.Store("two")
		f.fail.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if _, got := f.asked(); got != "two" || !strings.Contains(said(), "arrive again") {
			t.Errorf("sent %q, said %s", got, said())
		}
		s.Close(t.Context())
	})
}

// A stop waits for a target that hangs as long as it is told to.
func TestSenderStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var newest atomic.Value
		newest.Store("one")
		hangs := stuck{make(chan struct{})}
		s, said := sending(hangs, &newest, time.Minute)
		s.Start()
		time.Sleep(time.Second)
		synctest.Wait()
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		s.Close(ctx)
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("took %v", took)
		}
		close(hangs.held)
		synctest.Wait()
		if s.Lines[0].Failures() == 0 || !strings.Contains(said(), "could not be sent") {
			t.Errorf("said %s", said())
		}
	})
}
