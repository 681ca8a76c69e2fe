package transport

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/heyan-project/heyan/server/proxyproto"
)

// origin is whose connection one is.
type origin struct {
	remote netip.AddrPort // the client's end
	via    netip.AddrPort // the trusted proxy's, where it told of remote; else the zero value
	// own says that a trusted proxy made the connection for itself.
	own bool
}

// origin finds out whose connection one is. Only what comes from a trusted proxy is read for a header, and has to have
// one; the bytes of anybody else are TLS's alone. A cause other than 0 is why there is no connection.
func (c *Credentials) origin(w *wire, start time.Time) (origin, Cause) {
	peer := address(w.Conn.RemoteAddr())
	if !c.trusted(peer.Addr()) {
		return origin{remote: peer}, 0
	}
	_ = w.Conn.SetReadDeadline(start.Add(min(c.config.ProxyHeaderTimeout, c.config.HandshakeTimeout)))
	header, err := proxyproto.Read(counted{w})
	if err != nil {
		return origin{remote: peer}, proxyCause(err)
	}
	_ = w.Conn.SetReadDeadline(start.Add(c.config.HandshakeTimeout))
	if header.Local {
		return origin{remote: peer, own: true}, 0
	}
	// A proxy that checks by way of another one names itself.
	return origin{remote: header.Source, via: peer, own: c.trusted(header.Source.Addr())}, 0
}

// trusted reports whether an address is a trusted proxy's.
func (c *Credentials) trusted(a netip.Addr) bool {
	a = a.WithZone("") // a prefix contains no address with one
	return slices.ContainsFunc(c.config.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// counted reads the connection below TLS and counts what came.
type counted struct{ wire *wire }

func (r counted) Read(b []byte) (int, error) {
	n, err := r.wire.Conn.Read(b)
	r.wire.in.Add(uint64(n))
	return n, err
}

// proxyCause says why there is no header.
func proxyCause(err error) Cause {
	for _, known := range []struct {
		err   error
		cause Cause
	}{
		{proxyproto.ErrMissing, ProxyMissing}, {proxyproto.ErrVersion1, ProxyVersion1}, {proxyproto.ErrTruncated, ProxyTruncated},
		{proxyproto.ErrTooLarge, ProxyOversized}, {proxyproto.ErrFamily, ProxyFamily}, {proxyproto.ErrChecksum, ProxyChecksum},
		{proxyproto.ErrMalformed, ProxyMalformed}, {io.EOF, Probe},
	} {
		if errors.Is(err, known.err) {
			return known.cause
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return ProxyTimeout
	}
	return Probe // reset, which is how some balancers end a check
}
