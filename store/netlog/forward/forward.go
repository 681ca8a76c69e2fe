// Package forward sends the records of a network log to a syslog collector: RFC 5424 messages over TLS, framed by
// octet counting (RFC 5425). A [Forwarder] follows the log and never stands in the way of an append or a reply: it
// reads what is durable already, from the disk, and holds one batch in memory however far behind it is.
//
// # What the collector gets
//
//   - One message a record, in the order of the log. HOSTNAME is the node, APP-NAME "heyan", MSGID the event, TIMESTAMP
//     the record's time cut to microseconds, the facility 13 (log audit). The structured data [heyan@32473] has origin,
//     index, category, actor_kind, actor, outcome, source and action, each only where the record has it. MSG is what
//     Options.JSON makes of the record, on one line, without a byte order mark.
//   - Where records were left out, a message forward.gap whose structured data [heyan-gap@32473] has origin, from and
//     to: the records [from, to) did not go over this connection, and whoever misses them reads them from the log.
//
// 32473 is the enterprise number for examples (RFC 5612): this program has none of its own.
//
// # What is guaranteed, and what is not
//
//   - Best effort. RFC 5425 has no acknowledgement: what the collector's machine took and its program never read is
//     lost without a sign. So a connection begins [Overlap] records before the first one that was never written, and
//     the collector sees those again. It should count a record once for each origin and index. More than that lost in
//     buffers at once is a gap that no message names.
//   - Indexes of an origin rise by one from message to message, but for repeats and named gaps: any other hole shows
//     that something was lost.
//   - Further behind than Options.MaxLag records, it skips to half of that, counts what it skipped, and names the gap.
//     Bytes that are no record are skipped likewise. Damaged files of the log hold it up until then.
//   - Without Options.Position a start begins with Options.From: what was not sent before the stop is never sent. With
//     it a start goes on where the file says; it is written every few seconds, so that after a crash some records are
//     sent twice. Of another origin than the log's, it stands for nothing, and the log is sent from its first record.
//   - TLS 1.2 or later; the collector's certificate is always verified. There is no plaintext form.
//   - [Forwarder.Stop] sends what the log holds by then, and waits for the collector to close its side, as one does
//     that has read everything, within the time that it is given.
//
// Read next: cursor.go for what is sent again and what is skipped, message.go for the bytes.
package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/store/netlog"
)

// Log is what is followed; [netlog.Log] is one.
type Log interface {
	Origin() string
	First() uint64
	Size() uint64
	Read(ctx context.Context, from, to uint64, fn func(index uint64, leaf []byte) error) error
	Follow(ctx context.Context, from uint64, fn func(index uint64, leaf []byte) error) error
}

var _ Log = (*netlog.Log)(nil)

// Options says what is forwarded where. Log, Node, Address, TLS, JSON and Now are required.
type Options struct {
	Log  Log
	Node string // HOSTNAME
	// Address is the collector's host and port.
	Address string
	// TLS has the CAs that the collector's certificate is verified by, nil for the system's, and the client's own
	// certificate, if any. Its ServerName is that of Address where it is empty.
	TLS *tls.Config
	// JSON makes MSG of a record. The result MUST be one line.
	JSON func(index uint64, leaf []byte) ([]byte, error)
	// From is the first record to send, where Position does not say better.
	From uint64
	// Position is the path of the file that remembers what was sent, outside the log's directory; empty = none.
	Position string
	// MaxLag is how many records the collector may be behind; zero is [DefaultMaxLag].
	MaxLag uint64
	Now    func() time.Time
	// Logger is told when the collector is reached and when it is lost; nil drops it.
	Logger *slog.Logger

	// What a zero stands for is right but for tests: 1 s and 1 min between attempts, 10 s for a connection, 30 s for
	// the collector to take 16 KiB, 5 s between two writings of Position.
	Backoff, MaxBackoff, DialTimeout, WriteTimeout, SaveEvery time.Duration
}

// DefaultMaxLag is how many records a collector may be behind.
const DefaultMaxLag = 100_000

// ciphers are those of TLS 1.2 that are forward secret and authenticated (RFC 9325 section 4.2). Those of TLS 1.3
// cannot be chosen, and are.
var ciphers = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

func (o Options) withDefaults() (Options, error) {
	if o.Log == nil || o.Node == "" || o.TLS == nil || o.JSON == nil || o.Now == nil {
		return o, errors.New("forward: Log, Node, Address, TLS, JSON and Now are required")
	}
	if o.TLS.InsecureSkipVerify {
		return o, errors.New("forward: the collector's certificate has to be verified")
	}
	host, _, err := net.SplitHostPort(o.Address)
	if err != nil {
		return o, err
	}
	o.TLS = o.TLS.Clone()
	o.TLS.MinVersion, o.TLS.CipherSuites = max(o.TLS.MinVersion, tls.VersionTLS12), ciphers
	if o.TLS.ServerName == "" {
		o.TLS.ServerName = host
	}
	if o.MaxLag == 0 {
		o.MaxLag = DefaultMaxLag
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	for _, d := range []struct {
		of    *time.Duration
		usual time.Duration
	}{{&o.Backoff, time.Second}, {&o.MaxBackoff, time.Minute}, {&o.DialTimeout, 10 * time.Second}, {&o.WriteTimeout, 30 * time.Second},
		{&o.SaveEvery, 5 * time.Second}} {
		if *d.of <= 0 {
			*d.of = d.usual
		}
	}
	return o, nil
}

// Forwarder forwards one log to one collector.
type Forwarder struct {
	opt Options

	// hard ends everything at once, drain after what the log holds. done is closed when both goroutines have ended.
	hard, drain           context.Context
	stopHard, startToStop context.CancelFunc
	done                  chan struct{}

	// Of the goroutine that sends.
	cursor cursor
	buffer []byte
	told   telling

	// What others may read.
	next, resume, sent, skipped, connections atomic.Uint64
	connected                                atomic.Bool
}

// Status is where a forwarder is.
type Status struct {
	Connected  bool
	Sent       uint64 // records written to the collector, again or for the first time
	Skipped    uint64 // records that were left out
	Reconnects uint64 // connections but the first
	Lag        uint64 // records that the log holds and that were not written yet
}

// Start begins to forward. It returns at once, and does not mind whether the collector is there.
func Start(opt Options) (*Forwarder, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &Forwarder{opt: opt, done: make(chan struct{})}
	f.hard, f.stopHard = context.WithCancel(context.Background())
	f.drain, f.startToStop = context.WithCancel(f.hard)
	f.told = telling{logger: opt.Logger, address: opt.Address}
	f.cursor = newCursor(f.first())
	f.publish()
	go f.run()
	return f, nil
}

// Status returns where the forwarder is. It is quick, and safe for concurrent use.
func (f *Forwarder) Status() Status {
	s := Status{Connected: f.connected.Load(), Sent: f.sent.Load(), Skipped: f.skipped.Load(), Reconnects: f.connections.Load()}
	s.Reconnects -= min(s.Reconnects, 1)
	next := f.next.Load() // before the size, which only rises
	size := f.opt.Log.Size()
	s.Lag = size - min(next, size)
	return s
}

// Stop sends what the log holds, ends the connection, and returns how many records were not written. It takes no longer
// than ctx lasts. The log has to be open until it returns.
func (f *Forwarder) Stop(ctx context.Context) (left uint64) {
	f.startToStop()
	select {
	case <-f.done:
	case <-ctx.Done():
		f.stopHard()
		select {
		case <-f.done:
		case <-time.After(time.Second): // the disk hangs: nothing ends a system call
		}
	}
	f.stopHard()
	return f.Status().Lag
}

// publish shows others where the cursor is.
func (f *Forwarder) publish() {
	f.next.Store(f.cursor.next)
	f.resume.Store(f.cursor.unsure())
}
