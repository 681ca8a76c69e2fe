package server_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/source"
)

// authority is a source that matches everything, and does before it what the test says.
type authority struct {
	hook    atomic.Pointer[func(context.Context, *source.Query) error]
	pending atomic.Bool // it took the call, and says nothing yet
}

func (*authority) Name() string      { return "authority" }
func (*authority) Recipient() string { return "" }

func (a *authority) before(hook func(context.Context, *source.Query) error) { a.hook.Store(&hook) }

func (a *authority) Check(ctx context.Context, q *source.Query) (source.Answer, error) {
	if hook := a.hook.Load(); hook != nil {
		if err := (*hook)(ctx, q); err != nil {
			return source.Answer{}, err
		}
	}
	if a.pending.Load() {
		return source.Answer{Source: "authority", Pending: true}, nil
	}
	return source.Answer{Source: "authority", Verdict: product.Match, Billed: true}, nil
}

// withAuthority is a world that answers id2 from an authority of the test's.
func withAuthority(t *testing.T, options servertest.Options) (*world, *authority) {
	t.Helper()
	a := &authority{}
	options.Sources = map[product.ID][]source.Source{"id2": {a}}
	return newWorld(t, options), a
}

// eventually waits for the records of calls from an index on to be as wanted: those of calls whose caller is gone
// already.
func eventually(t *testing.T, w *world, from uint64, want ...string) []record.Record {
	t.Helper()
	var records []record.Record
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if records = w.Calls(from); slices.Equal(servertest.Brief(records), want) {
			return records
		}
	}
	t.Fatalf("records %q, want %q", servertest.Brief(records), want)
	return nil
}

// buffer is the operator's log.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestPanics: a defect is an opaque INTERNAL with a record; its value, which may quote a request, appears nowhere.
func TestPanics(t *testing.T) {
	output := &buffer{}
	w, authority := withAuthority(t, servertest.Options{LogOutput: output})
	number := servertest.Person(1).GetIdNumber()
	authority.before(func(context.Context, *source.Query) error { panic("no luck with " + number) })
	cases := []struct {
		name    string
		call    func() servertest.Seen
		records []string
	}{
		{"unary", func() servertest.Seen { s, _ := verify(w.bank.Conn, w.Request("p1", 1)); return s },
			[]string{"verification.verify FAILED INTERNAL"}},
		{"batch", func() servertest.Seen { s, _ := batch(w.bank.Conn, w.Request("p2", 1)); return s },
			[]string{"verification.batch FAILED INTERNAL"}},
		{"stream", func() servertest.Seen {
			w.store.Hook(func(string) error { panic("no luck with " + number) })
			defer w.store.Hook(nil)
			s, _ := list(w.audit, nil)
			return s
		}, []string{"stream.opened SUCCESS", "log.listed FAILED INTERNAL"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			from := w.Log.Size()
			seen := c.call()
			if seen.Code != codes.Internal || seen.Reason != "INTERNAL" || strings.Contains(seen.Err.Error(), "luck") {
				t.Errorf("answered %v", seen.Err)
			}
			if got := servertest.Brief(w.Calls(from)); !slices.Equal(got, c.records) {
				t.Errorf("recorded %q, want %q", got, c.records)
			}
			if own := w.Open(seen.Entry); own.Outcome.Kind != record.Failed || own.Outcome.Code != uint32(codes.Internal) {
				t.Errorf("the trailer names %v %v", own.Event, own.Outcome)
			}
		})
	}
	authority.before(func(context.Context, *source.Query) error { return nil })
	if seen, _ := verify(w.bank.Conn, w.Request("p4", 1)); seen.Code != codes.OK {
		t.Errorf("afterwards: %v", seen.Err)
	}
	if text := output.String(); strings.Contains(text, number) || strings.Contains(text, "luck") || !strings.Contains(text, "panic") {
		t.Errorf("the operator's log holds the value of a panic, or nothing of it:\n%s", text)
	}
}

// TestPanicInTheHeaders: a defect where headers are looked at, outside of every chain, ends the call and not the
// process.
func TestPanicInTheHeaders(t *testing.T) {
	output := &buffer{}
	m := &tally{}
	w := servertest.Start(t, servertest.Options{LogOutput: output, Metrics: m})
	w.BreakHeaders()
	from := w.Log.Size()
	key := "hk_" + servertest.Person(1).GetIdNumber()
	for range 2 {
		conn := w.WithKey(key)
		if seen, _ := verify(conn, &heyanv1.VerifyRequest{}); seen.Code != codes.Internal || strings.Contains(seen.Err.Error(), key) {
			t.Errorf("answered %v", seen.Err)
		}
	}
	if text := output.String(); strings.Contains(text, key) || !strings.Contains(text, "panic") || !strings.Contains(text, "(*Server).headers") {
		t.Errorf("the operator's log:\n%s", text)
	}
	must(t, w.Flush())
	var counted uint64
	for _, r := range w.Calls(from) {
		if r.Outcome.Reason == "INTERNAL" && r.Tally != nil {
			counted += r.Tally.Count
		}
	}
	if started, handled := m.calls(); counted != 2 || started != 2 || handled != 2 {
		t.Errorf("counted %d in the log, %d begun and %d ended in the metrics", counted, started, handled)
	}
}

// TestPanicAfterTheAnswer: the call failed, and says so, although its answer is on record; whether the ledger has
// it is for the next start to find out, so the mark stays below.
func TestPanicAfterTheAnswer(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	w.store.Hook(func(method string) error {
		if method == "Commit" {
			panic("no luck")
		}
		return nil
	})
	from := w.Log.Size()
	seen, _ := verify(w.bank.Conn, w.Request("p", 1))
	w.store.Hook(nil)
	records := eventually(t, w, from, "verification.verify SUCCESS", "verification.verify FAILED INTERNAL")
	for i, r := range w.Records(from) {
		if r.Object.Type == "verification" {
			from += uint64(i)
			break
		}
	}
	if own := w.Open(seen.Entry); seen.Reason != "INTERNAL" || own.Outcome != records[1].Outcome {
		t.Errorf("answered %q, the trailer names %v %v", seen.Reason, own.Event, own.Outcome)
	}
	verify(w.bank.Conn, w.Request("later", 2))
	if mark, err := w.Mark(); err != nil || mark != from {
		t.Errorf("the mark rose to %d, above the undecided record %d: %v", mark, from, err)
	}
}

// TestDeadlineAndCancel: a call that its caller gave up has a record that says which way.
func TestDeadlineAndCancel(t *testing.T) {
	w, authority := withAuthority(t, servertest.Options{})
	asked := make(chan struct{}, 1)
	authority.before(func(ctx context.Context, _ *source.Query) error {
		asked <- struct{}{}
		<-ctx.Done()
		return fault.New(fault.SourceUnavailable).WithCause(ctx.Err())
	})
	for _, c := range []struct {
		name   string
		ctx    func() (context.Context, context.CancelFunc)
		code   codes.Code
		record string
	}{
		{"deadline", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 200*time.Millisecond)
		}, codes.DeadlineExceeded, "verification.verify FAILED DEADLINE_REACHED"},
		{"cancel", func() (context.Context, context.CancelFunc) {
			return context.WithCancel(context.Background())
		}, codes.Canceled, "verification.verify CANCELLED CALLER_CANCELLED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			from := w.Log.Size()
			ctx, cancel := c.ctx()
			defer cancel()
			go func() {
				<-asked
				if c.code == codes.Canceled {
					cancel()
				}
			}()
			_, err := heyanv1.NewVerificationServiceClient(w.bank.Conn).Verify(ctx, w.Request(c.name, 1))
			if code := status.Code(err); code != c.code {
				t.Errorf("answered %v", err)
			}
			records := eventually(t, w, from, c.record)
			if records[0].Outcome.Code != uint32(c.code) || records[0].Actor.ID != "bank" {
				t.Errorf("recorded %+v of %q", records[0].Outcome, records[0].Actor.ID)
			}
		})
	}
	authority.before(func(context.Context, *source.Query) error { return nil })
	if seen, r := verify(w.bank.Conn, w.Request("deadline", 1)); seen.Code != codes.OK || r.messages != 1 {
		t.Errorf("the same request_id once more: %v", seen.Err)
	}
}

// TestSilentStream: a stream whose caller falls silent is ended and leaves nothing; so is one that its caller gives
// up.
func TestSilentStream(t *testing.T) {
	w := newWorld(t, servertest.Options{Silence: 300 * time.Millisecond})
	from := w.Log.Size()
	seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
		stream, err := heyanv1.NewAdminServiceClient(w.system).ImportRecords(ctx, options...)
		must(t, err)
		must(t, stream.Send(w.ImportHeader()))
		must(t, stream.Send(servertest.ImportRows(0, 3)))
		return stream.RecvMsg(&heyanv1.ImportRecordsResponse{}) // and nothing more is sent
	})
	if seen.Code != codes.DeadlineExceeded || seen.Reason != "DEADLINE_REACHED" || w.Open(seen.Entry).Event != record.DatasetImported {
		t.Errorf("answered %v, trailer %q", seen.Err, seen.Entry)
	}
	eventually(t, w, from, "stream.opened SUCCESS", "dataset.imported FAILED DEADLINE_REACHED")

	from = w.Log.Size()
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := heyanv1.NewAdminServiceClient(w.system).ImportRecords(ctx)
	must(t, err)
	must(t, stream.Send(w.ImportHeader()))
	eventually(t, w, from, "stream.opened SUCCESS")
	cancel()
	eventually(t, w, from, "stream.opened SUCCESS", "dataset.imported CANCELLED CALLER_CANCELLED")

	datasets, err := heyanv1.NewAdminServiceClient(w.system).ListDatasets(context.Background(), &heyanv1.ListDatasetsRequest{})
	must(t, err)
	if n := len(datasets.GetDatasets()[0].GetGenerations()); n != 1 {
		t.Errorf("%d generations, want the published one", n)
	}
}

// TestStreamOpening: the record of the opening is durable before the first message leaves.
func TestStreamOpening(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	from := w.Log.Size()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	stream, err := heyanv1.NewLogServiceClient(w.audit).ListLogEntries(ctx, &heyanv1.ListLogEntriesRequest{Follow: true, StartIndex: from})
	must(t, err)
	first, err := stream.Recv()
	must(t, err)
	opened, err := record.Parse(first.GetLeaf())
	must(t, err)
	for opened.Event != record.StreamOpened {
		next, err := stream.Recv()
		must(t, err)
		opened, err = record.Parse(next.GetLeaf())
		must(t, err)
	}
	if opened.Actor.ID != servertest.Audit || opened.Action != tail {
		t.Errorf("opened by %q calling %q", opened.Actor.ID, opened.Action)
	}
	cancel()
	records := eventually(t, w, from, "stream.opened SUCCESS", "log.followed CANCELLED CALLER_CANCELLED")
	if a := records[1].LogAccess; a == nil || a.Count == 0 || a.From != from {
		t.Errorf("what was read is recorded as %+v", a)
	}
}

// TestStopMisuse: a suspension ends a client's streams with CLIENT_SUSPENDED and its connections after them; a
// revocation does the same to an operator.
func TestStopMisuse(t *testing.T) {
	t.Run("ME-1-stop-misuse", func(t *testing.T) {
		w := newWorld(t, servertest.Options{})
		from := w.Log.Size()
		seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
			stream := openReflection(t, ctx, w.bank.Conn, options...)
			eventually(t, w, from, "stream.opened SUCCESS")
			_, err := heyanv1.NewAdminServiceClient(w.security).UpdateClient(ctx, &heyanv1.UpdateClientRequest{
				Client: &heyanv1.Client{Id: "bank", State: heyanv1.Client_STATE_SUSPENDED}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"state"}}, Reason: "misuse"})
			must(t, err)
			return stream.RecvMsg(&heyanv1.ListPoliciesRequest{})
		})
		if seen.Code != codes.PermissionDenied || seen.Reason != "CLIENT_SUSPENDED" {
			t.Errorf("the stream ended with %v", seen.Err)
		}
		if own := w.Open(seen.Entry); own.Event != record.ReflectionUsed || own.Outcome.Reason != "CLIENT_SUSPENDED" || own.Actor.ID != "bank" {
			t.Errorf("the trailer names %v %v of %q", own.Event, own.Outcome, own.Actor.ID)
		}
		waitForLogout(t, w, from, "bank")
		if seen, _ := verify(w.bank.Conn, w.Request("s", 1)); seen.Reason != "CLIENT_SUSPENDED" {
			t.Errorf("the next call: %v", seen.Err)
		}
	})
	t.Run("a revoked operator", func(t *testing.T) {
		w := newWorld(t, servertest.Options{})
		from := w.Log.Size()
		seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
			stream, err := heyanv1.NewLogServiceClient(w.audit).ListLogEntries(ctx, &heyanv1.ListLogEntriesRequest{Follow: true}, options...)
			must(t, err)
			_, err = stream.Recv()
			must(t, err)
			_, err = heyanv1.NewAccessServiceClient(w.security).RevokeOperator(ctx, &heyanv1.RevokeOperatorRequest{Id: servertest.Audit, Reason: "left"})
			must(t, err)
			for err == nil {
				_, err = stream.Recv()
			}
			return err
		})
		if seen.Code != codes.Unauthenticated || seen.Reason != "CREDENTIAL_INVALID" || w.Open(seen.Entry).Actor.ID != servertest.Audit {
			t.Errorf("the stream ended with %v", seen.Err)
		}
		waitForLogout(t, w, from, servertest.Audit)
	})
	t.Run("a credential that expires", func(t *testing.T) {
		w := newWorld(t, servertest.Options{})
		seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
			stream := openReflection(t, ctx, w.bank.Conn, options...)
			w.Clock.Set(w.Clock.Now().AddDate(2, 0, 0))
			_ = stream.SendMsg(&heyanv1.ListPoliciesRequest{})
			return stream.RecvMsg(&heyanv1.ListPoliciesRequest{})
		})
		if seen.Reason != "CREDENTIAL_EXPIRED" {
			t.Errorf("the stream ended with %v", seen.Err)
		}
	})
}

// openReflection opens the one kind of stream that a client may have today.
func openReflection(t *testing.T, ctx context.Context, conn *grpc.ClientConn, options ...grpc.CallOption) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", options...)
	must(t, err)
	return stream
}

// waitForLogout waits for the record of a connection's end.
func waitForLogout(t *testing.T, w *world, from uint64, id string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for _, r := range w.Records(from) {
			if r.Event == record.SessionClosed && r.Actor.ID == id {
				return
			}
		}
	}
	t.Errorf("the connection of %q is still open", id)
}
