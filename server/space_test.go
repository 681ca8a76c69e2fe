package server_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// lines is an operator's log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// spacious is a world whose disk has 1000 bytes: below 200 there is an alarm, below 100 nothing is served.
func spacious(t *testing.T) (w *world, leave func(free uint64), said *lines) {
	var room atomic.Uint64
	room.Store(1000)
	said = &lines{}
	w = newWorld(t, servertest.Options{Room: &room, LogOutput: said})
	return w, func(free uint64) {
		room.Store(free)
		w.LookAtSpace()
	}, said
}

func healthOf(t *testing.T, w *world, service string) healthv1.HealthCheckResponse_ServingStatus {
	t.Helper()
	answer, err := healthv1.NewHealthClient(w.anonymous).Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
	must(t, err)
	return answer.GetStatus()
}

// TestHighMark: an alarm, and everything is served.
func TestHighMark(t *testing.T) {
	w, leave, said := spacious(t)
	from := w.Log.Size()
	leave(199)
	r := eventuallyOne(t, w, from, record.DiskWatermarkReached)
	if r.Object.ID != "high" || r.Severity != record.Warning || r.Status.DiskFree != 199 || r.Status.DiskTotal != 1000 || !strings.Contains(r.Change.Diff, "wanted=200") {
		t.Errorf("%+v", r)
	}
	if seen, _ := verify(w.bank.Conn, w.Request("r", 1)); seen.Err != nil || serving(t, w.anonymous) != healthv1.HealthCheckResponse_SERVING {
		t.Error(seen.Err)
	}
	if !strings.Contains(said.String(), "nearly full") {
		t.Error(said)
	}
	from = w.Log.Size()
	leave(1000)
	if r := eventuallyOne(t, w, from, record.DiskWatermarkCleared); r.Object.ID != "high" || r.Severity != record.Notice {
		t.Errorf("%+v", r)
	}
}

// TestBelowTheFloor: whoever calls is refused and leaves no record, but those who read the log, whose reading is on
// record; health tells the two apart; when there is room again calls are served, and how many were refused is on record.
func TestBelowTheFloor(t *testing.T) {
	w, leave, said := spacious(t)
	verify(w.bank.Conn, w.Request("before", 1))
	from := w.Log.Size()
	leave(99)
	r := eventuallyOne(t, w, from, record.DiskWatermarkReached)
	if r.Object.ID != "floor" || r.Severity != record.Critical {
		t.Errorf("%+v", r)
	}
	from = w.Log.Size()
	refused := uint64(0)
	for method, rule := range server.Policy() {
		if rule.Quiet || rule.Spare {
			continue
		}
		for _, conn := range []func(*world) (servertest.Seen, reply){verifyAs(bank, "x"), policies} {
			if seen, reply := conn(w); seen.Code != codes.Unavailable || seen.Reason != "LOG_UNAVAILABLE" || seen.Entry != "" || reply.messages > 0 {
				t.Errorf("%v %q with trailer %q and %d messages", seen.Code, seen.Reason, seen.Entry, reply.messages)
			}
			refused++
		}
		if seen := invoke(w.audit, method, rule.Stream); seen.Reason != "LOG_UNAVAILABLE" {
			t.Errorf("%s: %v", method, seen.Err)
		}
		refused++
	}
	for _, who := range []*grpc.ClientConn{w.bank.Conn, w.system} { // not even to be told that the role is missing
		if seen := invoke(who, tail, true); seen.Reason != "LOG_UNAVAILABLE" {
			t.Error(seen.Err)
		}
		refused++
	}
	if n := w.Log.Size(); n != from {
		t.Errorf("%d records were written of calls that were refused: %+v", n-from, w.Records(from))
	}
	if healthOf(t, w, "") != healthv1.HealthCheckResponse_NOT_SERVING || healthOf(t, w, heyanv1.VerificationService_ServiceDesc.ServiceName) != healthv1.HealthCheckResponse_NOT_SERVING ||
		healthOf(t, w, heyanv1.LogService_ServiceDesc.ServiceName) != healthv1.HealthCheckResponse_SERVING {
		t.Error("health does not tell what is served")
	}
	if ready := w.Ready(); ready[2].Name != "disk" || ready[2].OK {
		t.Errorf("%+v", ready)
	}
	w.readsTheLog(t)
	knock(t, w)
	must(t, w.Flush())
	if r := eventuallyOne(t, w, from, record.TLSPlaintextDial); r.Source.IP.IsValid() {
		t.Errorf("addresses are told apart: %+v", r.Source)
	}
	bulk := eventuallyOne(t, w, from, record.RefusalBulk)
	if bulk.Outcome.Kind != record.Failed || bulk.Outcome.Reason != "LOG_UNAVAILABLE" || bulk.Tally == nil || bulk.Tally.Count != refused {
		t.Errorf("%d were refused, on record are %+v %+v", refused, bulk.Outcome, bulk.Tally)
	}
	leave(109)
	if seen, _ := verify(w.bank.Conn, w.Request("still", 1)); seen.Reason != "LOG_UNAVAILABLE" {
		t.Errorf("a few bytes more: %v", seen.Err)
	}
	from = w.Log.Size()
	leave(1000)
	if r := eventuallyOne(t, w, from, record.DiskWatermarkCleared); r.Object.ID != "floor" {
		t.Errorf("%+v", r)
	}
	if r := eventuallyOne(t, w, from, record.RefusalBulk); r.Tally.Count != 1 {
		t.Errorf("%+v", r.Tally)
	}
	if seen, reply := verify(w.bank.Conn, w.Request("after", 1)); seen.Err != nil || reply.messages != 1 || serving(t, w.anonymous) != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("with room again: %v", seen.Err)
	}
	if text := said.String(); strings.Count(text, "the disk is full") != 1 || !strings.Contains(text, "room again") {
		t.Error(text)
	}
}

// knock speaks plaintext to the server.
func knock(t *testing.T, w *world) {
	t.Helper()
	conn, err := net.Dial("tcp", w.Address)
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
	must(t, err)
	_, _ = io.Copy(io.Discard, conn) // until the server ends it
}

// readsTheLog lists and exports while the disk is full.
func (w *world) readsTheLog(t *testing.T) {
	t.Helper()
	for name, call := range map[string]func(*world) (servertest.Seen, reply){"list": listAs(audit), "export": exportAs(audit)} {
		seen, reply := call(w)
		if seen.Err != nil || reply.messages == 0 || seen.Entry == "" {
			t.Errorf("%s: %v with %d messages", name, seen.Err, reply.messages)
			continue
		}
		if own := w.Open(seen.Entry); own.Actor.ID != servertest.Audit || own.LogAccess == nil {
			t.Errorf("%s left %+v", name, own)
		}
	}
}

// TestSpareMethods: only the log's own service answers on a full disk, and none of it changes anything else.
func TestSpareMethods(t *testing.T) {
	for method, rule := range server.Policy() {
		if log := strings.HasPrefix(method, "/heyan.v1.LogService/"); rule.Spare && (!log || rule.Anonymous) {
			t.Errorf("%s answers on a full disk", method)
		}
	}
	if p := server.Policy(); !p[tail].Spare || !p[export].Spare {
		t.Error("the log cannot be read on a full disk")
	}
}

// TestFullFromTheStart: a server that starts on a full disk turns callers away from its first call on.
func TestFullFromTheStart(t *testing.T) {
	var room atomic.Uint64
	s := servertest.Start(t, servertest.Options{Room: &room})
	answer, err := healthv1.NewHealthClient(s.WithKey("")).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || answer.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Error(answer, err)
	}
	all := s.Records(0)
	if last := all[len(all)-1]; last.Event != record.DiskWatermarkReached {
		t.Errorf("the last record is %+v", last)
	}
	s.Stop()
}

// TestLastWordsAreKept: where no more room is left in the log than its own words need, not even those who read it are
// answered; the server's own records are written all the same.
func TestLastWordsAreKept(t *testing.T) {
	for name, spare := range map[string]bool{"with room for the next file": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			fsys := disktest.New()
			fsys.Hook(func(op disktest.Op) error {
				if op.Kind == disktest.Create && strings.HasSuffix(op.Name, "next.tmp") && !spare {
					return syscall.ENOSPC
				}
				return nil
			})
			var room atomic.Uint64
			room.Store(1000)
			s := servertest.Start(t, servertest.Options{LogFS: fsys, LogReserve: 1 << 20, Room: &room})
			for spare { // it is made in the background
				if left, known := s.Log.Room(); !known || left > 4<<20 {
					break
				}
				time.Sleep(time.Millisecond)
			}
			room.Store(0)
			s.LookAtSpace()
			_, known := s.Log.Room()
			seen := invoke(s.As(servertest.Audit), tail, true)
			// At the floor the log is sealed, which takes the next file; the one after is made a moment later.
			for end := time.Now().Add(10 * time.Second); spare && seen.Err != nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
				seen = invoke(s.As(servertest.Audit), tail, true)
			}
			if answered := spare || !known; answered && seen.Err != nil || !answered && seen.Reason != "LOG_UNAVAILABLE" {
				t.Errorf("a reader is told %v", seen.Err)
			}
			must(t, s.Heartbeat())
			s.Stop()
			if err := s.Log.Healthy(); !errors.Is(err, netlog.ErrClosed) {
				t.Error(err)
			}
		})
	}
}
