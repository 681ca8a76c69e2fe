package totals

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ledger is a log on the disk, and what keeps its totals.
type ledger struct {
	*netlog.Log
	*Keeper
	t       testing.TB
	options netlog.Options
	now     time.Time
	lost    []uint32 // parts that are not written
	fail    error    // and what writing ends with
}

func newLedger(t testing.TB) *ledger {
	l := &ledger{t: t, now: began}
	l.options = netlog.Options{Dir: filepath.Join(t.TempDir(), "log"), Node: "test", SigningKey: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)),
		Now: func() time.Time { return began }, SegmentRecords: 512}
	log, err := netlog.Create(l.options, "test")
	must(t, err)
	l.use(log)
	t.Cleanup(func() { _ = l.Close() }) // closed already, where the test left it to a copy
	return l
}

func (l *ledger) use(log *netlog.Log) { l.Log, l.Keeper = log, NewKeeper(log, l.put) }

func (l *ledger) put(parts []*record.Totals) error {
	for _, p := range parts {
		if slices.Contains(l.lost, p.Part) {
			continue
		}
		l.append(record.Record{Time: l.now, Event: record.SystemTotals, Actor: record.Actor{Kind: record.ActorSystem}, Outcome: record.Outcome{Kind: record.Success}, Totals: p})
	}
	return l.fail
}

func (l *ledger) append(r record.Record) {
	l.t.Helper()
	leaf, err := record.Append(nil, &r)
	must(l.t, err)
	ticket, err := l.Append(leaf)
	must(l.t, err)
	must(l.t, ticket.Wait(context.Background()))
}

// calls appends records of many clients, durable at once.
func (l *ledger) calls(n, clients int) {
	l.t.Helper()
	var last netlog.Ticket
	for i := range n {
		r := call(l.now, fmt.Sprintf("client-%0100d", i%clients), "/s/M", record.Success)
		leaf, err := record.Append(nil, &r)
		must(l.t, err)
		last, err = l.Append(leaf)
		must(l.t, err)
	}
	must(l.t, last.Wait(context.Background()))
}

// crash goes on with a copy of what is on the disk.
func (l *ledger) crash() {
	l.t.Helper()
	dir := filepath.Join(l.t.TempDir(), "log")
	must(l.t, os.CopyFS(dir, os.DirFS(l.options.Dir)))
	must(l.t, l.Close())
	l.options.Dir = dir
	log, _, err := netlog.Open(l.options)
	must(l.t, err)
	l.use(log)
}

func (l *ledger) hourNow() uint64 { return record.HourOf(l.now) }

func (l *ledger) totals() []*placed {
	l.t.Helper()
	list, err := l.list(l.t.Context(), 0, l.Size())
	must(l.t, err)
	return list
}

// whole fails where totals leave something out, and returns how many there are.
func (l *ledger) whole(begin uint64) int {
	l.t.Helper()
	list, at := l.totals(), begin
	for _, p := range list {
		if p.From != at || p.begin != begin || p.sum != p.To-p.From {
			l.t.Fatalf("a total %+v of %d, behind one to %d", p.Span, p.sum, at)
		}
		at = p.To
	}
	return len(list)
}

func TestKeeper(t *testing.T) {
	l := newLedger(t)
	ctx := t.Context()
	l.calls(300, 3)
	must(t, l.Count(ctx, l.hourNow()))
	if n := l.whole(0); n != 0 {
		t.Fatalf("%d totals within the hour", n)
	}
	l.now = l.now.Add(time.Hour)
	must(t, l.Count(ctx, l.hourNow()))
	if n := l.whole(0); n != 1 || l.totals()[0].To != 301 {
		t.Fatalf("%d totals, %+v", n, l.totals()[0])
	}
	// A crash in the middle of the hour, behind a segment that holds the newest total.
	l.calls(900, 2)
	must(t, l.Seal(ctx))
	l.crash()
	must(t, l.Count(ctx, l.hourNow()))
	if n := l.whole(0); n != 1 {
		t.Fatalf("%d totals", n)
	}
	l.now = l.now.Add(time.Hour)
	l.crash() // and one that lasted to the next hour
	must(t, l.Count(ctx, l.hourNow()))
	if n := l.whole(0); n != 2 || l.totals()[1].To != 1202 {
		t.Fatalf("%d totals, %+v", n, l.totals()[1])
	}
}

// TestCrashBetweenParts: a total whose last part is not there is counted again, with what came since.
func TestCrashBetweenParts(t *testing.T) {
	l := newLedger(t)
	ctx := t.Context()
	l.calls(500, 500)
	l.lost, l.fail = []uint32{2}, errors.New("the machine stops")
	if err := l.Write(ctx, l.hourNow()); !errors.Is(err, l.fail) {
		t.Fatalf("%v", err)
	}
	l.lost, l.fail = nil, nil
	l.crash()
	must(t, l.Write(ctx, l.hourNow()))
	if n := l.whole(0); n != 1 || l.totals()[0].To <= 501 {
		t.Errorf("%d totals, %+v", n, l.totals()[0])
	}
	// And without a crash.
	l.calls(500, 500)
	l.lost, l.fail = []uint32{1}, errors.New("too many wait")
	if err := l.Write(ctx, l.hourNow()); !errors.Is(err, l.fail) {
		t.Fatalf("%v", err)
	}
	l.lost, l.fail = nil, nil
	must(t, l.Write(ctx, l.hourNow()))
	if n := l.whole(0); n != 2 {
		t.Errorf("%d totals", n)
	}
}

// TestManyGroups: a total ends before it takes too much memory.
func TestManyGroups(t *testing.T) {
	l := newLedger(t)
	for range 9 {
		l.calls(10_000, 1) // no group of their own
	}
	for i := range maxGroups + 1000 {
		r := call(l.now, fmt.Sprint(i), "/s/M", record.Success)
		leaf, err := record.Append(nil, &r)
		must(t, err)
		ticket, err := l.Append(leaf)
		for errors.Is(err, netlog.ErrBusy) {
			time.Sleep(time.Millisecond)
			ticket, err = l.Append(leaf)
		}
		must(t, err)
		if i == maxGroups+999 {
			must(t, ticket.Wait(t.Context()))
		}
	}
	must(t, l.Count(t.Context(), l.hourNow()))
	if n := l.whole(0); n != 1 || len(l.counter.groups) > maxGroups {
		t.Errorf("%d totals, %d groups wait", n, len(l.counter.groups))
	}
}

// TestOlderLog: a long log without totals is counted from its end on.
func TestOlderLog(t *testing.T) {
	l := newLedger(t)
	l.calls(100, 1)
	long := &longer{Log: l.Log, more: anew}
	k := NewKeeper(long, l.put)
	must(t, k.Write(t.Context(), l.hourNow()))
	if k.counter.begin != l.Size() || len(l.totals()) != 0 {
		t.Errorf("counting begins at %d of %d, %d totals", k.counter.begin, l.Size(), len(l.totals()))
	}
	l.calls(10, 1)
	must(t, k.Write(t.Context(), l.hourNow()))
	if n := l.whole(101); n != 1 {
		t.Errorf("%d totals", n)
	}
}

// longer is a log that says that it holds more records, from before its first.
type longer struct {
	*netlog.Log
	more uint64
}

func (l *longer) Coverage(ctx context.Context) (netlog.Coverage, error) {
	c, err := l.Log.Coverage(ctx)
	c.First -= l.more // modulo 2^64: only the difference is looked at
	return c, err
}

// BenchmarkCount is what counting costs a record of a live log.
func BenchmarkCount(b *testing.B) {
	l := newLedger(b)
	for range 10 {
		l.calls(10_000, 100)
	}
	for b.Loop() {
		k := NewKeeper(l.Log, func([]*record.Totals) error { return nil })
		must(b, k.Write(b.Context(), 0))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(l.Size()), "ns/record")
}
