package forward

import (
	"bytes"
	"crypto/ed25519"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// TestPurged: a collector that was away for longer than records are kept is told so, and gets what is left.
func TestPurged(t *testing.T) {
	var now atomic.Pointer[time.Time]
	now.Store(&moment)
	log, err := netlog.Create(netlog.Options{Dir: filepath.Join(t.TempDir(), "log"), Node: "node-1", Now: func() time.Time { return *now.Load() },
		SigningKey: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))}, "init")
	must(t, err)
	defer log.Close()
	w := &world{t: t, log: log, ca: newAuthority(t)}
	w.add(255)
	must(t, log.Seal(t.Context()))
	later := moment.AddDate(1, 0, 0)
	now.Store(&later)
	_, err = log.Raise(netlog.Purging{To: 256, Record: func(p record.Purge) (uint64, error) {
		leaf, err := record.Append(nil, &record.Record{Time: later, Event: record.LogMinimumRaised, Purge: &p, Outcome: record.Outcome{Kind: record.Success}})
		must(t, err)
		ticket, err := log.Append(leaf)
		must(t, err)
		return ticket.Index(), ticket.Wait(t.Context())
	}})
	must(t, err)
	w.add(3)
	c := newCollector(t, w.server(t), nil)
	f := w.start(w.options(c))
	c.wait(whole(256, 260))
	if m := c.got()[0]; m.data["heyan-gap@32473"]["from"] != "0" || m.data["heyan-gap@32473"]["to"] != "256" || f.Status().Skipped != 256 {
		t.Errorf("%s", m.raw)
	}
}
