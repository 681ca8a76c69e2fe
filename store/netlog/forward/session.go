package forward

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/syslog"
)

var (
	errBehind = errors.New("forward: too far behind")
	errClosed = errors.New("the collector closed the connection")
)

const (
	// chunk is what one write deadline is for, and what is gathered before it is written: a record of TLS.
	chunk = 16 << 10
	// sendBuffer bounds what the own kernel takes of records that may be lost with the connection.
	sendBuffer = 128 << 10
	// steady is how long a connection has to last for the next attempt after it to come soon.
	steady = 10 * time.Second
)

// run connects again and again until it has to stop or the log has ended.
func (f *Forwarder) run() {
	ended := make(chan struct{})
	var keeping sync.WaitGroup
	if f.opt.Position != "" {
		keeping.Go(func() { f.keep(ended) })
	}
	defer func() {
		close(ended)
		keeping.Wait()
		close(f.done)
	}()
	pause := f.opt.Backoff
	for {
		began := f.opt.Now()
		err := f.attempt()
		stopping := f.drain.Err() != nil // asked before the pause: a stop that ends it is worth one more attempt
		if err == nil || errors.Is(err, netlog.ErrStopped) || errors.Is(err, netlog.ErrClosed) {
			return
		}
		f.told.lost(err)
		if stopping {
			return
		}
		if f.opt.Now().Sub(began) >= steady {
			pause = f.opt.Backoff
		}
		// Many nodes lose a collector at the same moment: they should not all come back at the same one.
		select {
		case <-time.After(pause/2 + rand.N(pause/2+1)):
		case <-f.drain.Done():
		}
		pause = min(2*pause, f.opt.MaxBackoff)
	}
}

// attempt is one connection, from its making to its end. It returns nil after all that Stop asks for.
func (f *Forwarder) attempt() error {
	ctx, cancel := context.WithTimeout(f.hard, f.opt.DialTimeout)
	defer cancel()
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", f.opt.Address)
	if err != nil {
		return err
	}
	if tcp, ok := plain.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // a larger one only makes a lost connection lose more
	}
	conn := tls.Client(plain, f.opt.TLS)
	if err := conn.HandshakeContext(ctx); err != nil {
		return errors.Join(err, plain.Close())
	}
	f.connections.Add(1)
	f.connected.Store(true)
	defer f.connected.Store(false)
	f.told.reached(f.cursor.unsure())
	return f.session(conn)
}

// session sends over a connection until that or the log ends.
func (f *Forwarder) session(conn *tls.Conn) error {
	ctx, cancel := context.WithCancelCause(f.hard)
	defer cancel(nil)
	gone := make(chan error, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		// A collector says nothing. What is awaited is its end, which a writer learns of too late.
		_, err := io.Copy(io.Discard, conn)
		gone <- err
		cause := errClosed
		if err != nil {
			cause = fmt.Errorf("%w: %w", errClosed, err)
		}
		cancel(cause)
	})
	// Closed underneath: TLS would first try for five seconds to say goodbye to a collector that takes nothing.
	closing := context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })
	defer func() {
		closing()
		_ = conn.NetConn().Close()
		reading.Wait()
	}()

	out := bufio.NewWriterSize(&patient{conn, f.opt.WriteTimeout}, chunk)
	err := f.send(ctx, out)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil && !errors.Is(err, netlog.ErrStopped) && !errors.Is(err, netlog.ErrClosed) {
		return err
	}
	return errors.Join(err, f.finish(conn, gone))
}

// send writes records until ctx ends, or, once the forwarder drains, until the log's end.
func (f *Forwarder) send(ctx context.Context, out *bufio.Writer) error {
	following, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.drain, cancel)()
	if g := f.cursor.rewind(); g != (gap{}) {
		if err := f.writeGap(out, g); err != nil {
			return err
		}
	}
	f.publish()
	each := func(index uint64, leaf []byte) error { return f.one(out, index, leaf) }
	for {
		if to := f.cursor.behind(f.opt.Log.Size(), f.opt.MaxLag); to > 0 {
			if err := f.skip(out, to); err != nil {
				return err
			}
		}
		var err error
		if f.drain.Err() == nil {
			err = f.opt.Log.Follow(following, f.cursor.next, each)
		} else if err = f.opt.Log.Read(ctx, f.cursor.next, f.opt.Log.Size(), each); err == nil {
			return out.Flush()
		}
		if errors.Is(err, netlog.ErrPurged) { // the collector was away for longer than records are kept
			if err := f.skip(out, f.opt.Log.First()); err != nil {
				return err
			}
			continue
		}
		if !errors.Is(err, errBehind) && (f.drain.Err() == nil || ctx.Err() != nil || !errors.Is(err, context.Canceled)) {
			return err
		}
	}
}

// one writes a record, and everything that is gathered when it is the log's last.
func (f *Forwarder) one(out *bufio.Writer, index uint64, leaf []byte) error {
	size := f.opt.Log.Size()
	if f.cursor.behind(size, f.opt.MaxLag) > 0 {
		return errBehind
	}
	r, err := record.Parse(leaf)
	var text []byte
	if err == nil {
		text, err = f.opt.JSON(index, leaf)
	}
	if err != nil {
		return f.skip(out, index+1)
	}
	f.buffer = appendRecord(f.buffer[:0], f.opt.Node, f.opt.Log.Origin(), index, &r, text)
	if err := f.write(out); err != nil {
		return err
	}
	f.cursor.wrote()
	f.publish()
	f.sent.Add(1)
	if index+1 < size {
		return nil
	}
	return out.Flush()
}

// skip leaves out what lies before to, and says so.
func (f *Forwarder) skip(out *bufio.Writer, to uint64) error {
	g, lost := f.cursor.skip(to)
	f.skipped.Add(lost)
	f.publish()
	f.opt.Logger.Warn("log forwarding: records were skipped", "from", g.from, "to", g.to)
	return f.writeGap(out, g)
}

func (f *Forwarder) writeGap(out *bufio.Writer, g gap) error {
	f.buffer = appendGap(f.buffer[:0], f.opt.Node, f.opt.Log.Origin(), f.opt.Now(), g)
	if err := f.write(out); err != nil {
		return err
	}
	return out.Flush()
}

// write frames the message in buffer.
func (f *Forwarder) write(out *bufio.Writer) error {
	var length [24]byte
	if _, err := out.Write(syslog.AppendLength(length[:0], len(f.buffer))); err != nil {
		return err
	}
	_, err := out.Write(f.buffer)
	return err
}

// finish says that nothing more comes, and waits for the collector to say the same: then it has read everything, and a
// position file need not repeat any of it.
func (f *Forwarder) finish(conn *tls.Conn, gone <-chan error) error {
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	select {
	case err := <-gone:
		if err == nil {
			f.resume.Store(f.cursor.next)
		}
		return err
	case <-f.hard.Done():
		return f.hard.Err()
	}
}

// patient gives every chunk a deadline of its own: a slow collector is served, one that hangs is left.
type patient struct {
	conn    net.Conn
	timeout time.Duration
}

func (p *patient) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		if err := p.conn.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil {
			return n, err
		}
		m, err := p.conn.Write(b[:min(len(b), chunk)])
		n += m
		if err != nil {
			return n, err
		}
		b = b[m:]
	}
	return n, nil
}

// telling writes the operator's log sparingly: what changed, not each attempt.
type telling struct {
	logger  *slog.Logger
	address string
	known   bool // whether anything was said yet
	up      bool
}

func (t *telling) reached(from uint64) {
	t.logger.Info("log forwarding: connected", "collector", t.address, "from", from)
	t.known, t.up = true, true
}

func (t *telling) lost(err error) {
	if !t.known || t.up {
		t.logger.Warn("log forwarding: not connected, attempts go on", "collector", t.address, "cause", err.Error())
	}
	t.known, t.up = true, false
}
