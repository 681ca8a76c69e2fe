package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// wire is the accepted connection below TLS. It counts bytes, and holds back the first ones until the
// handshake begins.
type wire struct {
	net.Conn
	in, out atomic.Uint64
	limit   atomic.Uint64 // of in; 0 = none

	client netip.AddrPort // whom a trusted proxy passes on; the zero value for nobody

	began                 bool   // a byte for TLS has come
	head                  []byte // read by await, not yet by TLS
	noVersion, noProtocol bool   // of the hello, see noteHello
}

// RemoteAddr implements net.Conn: whoever asks gRPC for its peer is told of the client, not of a proxy.
func (w *wire) RemoteAddr() net.Addr {
	if w.client.IsValid() {
		return net.TCPAddrFromAddrPort(w.client)
	}
	return w.Conn.RemoteAddr()
}

// headSize is about the size of a hello.
const headSize = 512

// await reads the first bytes. Until then a connection costs a goroutine and no slot.
func (w *wire) await() error {
	head := make([]byte, headSize)
	n, err := w.Conn.Read(head)
	w.in.Add(uint64(n))
	w.head = head[:n]
	if n > 0 {
		w.began = true
		return nil
	}
	return err
}

// Read implements net.Conn. It is called by one goroutine at a time, as TLS does.
func (w *wire) Read(b []byte) (int, error) {
	if len(w.head) > 0 {
		n := copy(b, w.head)
		if w.head = w.head[n:]; len(w.head) == 0 {
			w.head = nil
		}
		return n, nil
	}
	n, err := w.Conn.Read(b)
	if in, limit := w.in.Add(uint64(n)), w.limit.Load(); limit != 0 && in > limit {
		return 0, errTooMuch
	}
	return n, err
}

// errTooMuch ends a connection on which a stranger sends more than its calls can need.
var errTooMuch = errors.New("transport: too much from a caller without an identity")

// Write implements net.Conn.
func (w *wire) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.out.Add(uint64(n))
	return n, err
}

// A refused client may have sent more than was read. Closing then resets the connection, and the client may
// lose the alert that tells it why; so it is given a moment to read.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 64 << 10
)

// hangUp closes the connection after a failed handshake.
func (w *wire) hangUp(cause Cause) {
	defer w.Conn.Close()
	switch cause {
	case Plaintext, Rejected, Overloaded, Timeout, Closed:
		return // no alert was sent, or nobody reads it
	}
	if cause >= Probe {
		return // TLS never began
	}
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = w.Conn.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, w.Conn, lingerBytes)
	}
}

// session is the connection that gRPC reads and writes.
type session struct {
	*tls.Conn
	info        *Conn
	credentials *Credentials
	once        sync.Once
}

// Read implements net.Conn. An error other than a timeout is the end of the session: grpc-go closes the raw
// connection, not this one, where a peer is gone before the HTTP/2 settings are exchanged.
func (s *session) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err != nil {
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			s.end()
		}
	}
	return n, err
}

// Write implements net.Conn. A failed write leaves TLS unusable.
func (s *session) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	if err != nil {
		s.end()
	}
	return n, err
}

// Close implements net.Conn.
func (s *session) Close() error {
	err := s.Conn.Close()
	s.end()
	return err
}

// end tells once that the session is over.
func (s *session) end() {
	s.once.Do(func() {
		// A connection whose end was noticed is of no more use; this also wakes its other goroutine.
		_ = s.info.wire.Conn.Close()
		s.credentials.registry.remove(s)
		s.info.Identify()
		s.info.ended.Store(max(1, int64(s.credentials.config.Now().Sub(s.info.Opened))))
		s.credentials.config.Observer.SessionClosed(s.info)
	})
}

// Registry is the set of open sessions. It is safe for concurrent use.
type Registry struct {
	mu   sync.Mutex
	open map[*session]struct{}
}

func (r *Registry) add(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[s] = struct{}{}
}

func (r *Registry) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, s)
}

// Len returns how many sessions are open.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

// CloseWhere closes every open session that match accepts, at once and without a goodbye, and returns how
// many. Calls in flight on them are cancelled. match is called without a lock held. A connection whose
// handshake is not finished is not met: every call checks its credential anyway.
func (r *Registry) CloseWhere(match func(*Conn) bool) int {
	r.mu.Lock()
	all := make([]*session, 0, len(r.open))
	for s := range r.open {
		all = append(all, s)
	}
	r.mu.Unlock()
	closed := 0
	for _, s := range all {
		if match(s.info) {
			s.end()
			closed++
		}
	}
	return closed
}
