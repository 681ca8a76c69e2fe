package server

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/server/transport"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
)

// login is who a connection turned out to be, at its first call with an identity.
type login struct{ actor record.Actor }

// observer tells the log and the metrics what becomes of connections.
type observer Server

// HandshakeFailed implements transport.Observer. A stranger's failure is counted, not recorded one by one.
func (o *observer) HandshakeFailed(f transport.Failure) {
	s := (*Server)(o)
	s.metrics.HandshakeFailed(f.Cause.String())
	if f.Cause == transport.Probe {
		return // a balancer's look whether anybody is there: nothing failed
	}
	event := record.TLSHandshakeFailed
	if f.Cause == transport.Plaintext {
		event = record.TLSPlaintextDial
	}
	s.strangers.Count(journal.Stranger{
		Source: peerOf(f.Remote), Via: peerOf(f.Via), Event: event,
		Outcome: record.Outcome{Kind: record.Denied, Reason: f.Cause.String()}, Attack: attackOf(f.Cause),
	})
}

func attackOf(cause transport.Cause) string {
	if cause == transport.Plaintext {
		return "PLAINTEXT_DIAL"
	}
	return ""
}

// SessionOpened implements transport.Observer.
func (o *observer) SessionOpened(*transport.Conn) error {
	o.metrics.SessionOpened()
	return nil
}

// SessionClosed implements transport.Observer: log-out.
func (o *observer) SessionClosed(c *transport.Conn) {
	s := (*Server)(o)
	s.metrics.SessionClosed()
	s.logout(c)
}

// logout records the end of a connection that had an identity, once.
func (s *Server) logout(c *transport.Conn) {
	known, ok := s.sessions.LoadAndDelete(c.Session)
	if !ok {
		return
	}
	in, out := c.Traffic()
	connection := describe(c, "")
	_, _, err := s.journal.Begin(&record.Record{
		Event: record.SessionClosed, Actor: known.(*login).actor, Session: c.Session, Source: connection.Source, Destination: connection.Destination,
		Via: connection.Via, Protocol: connection.Protocol, Outcome: record.Outcome{Kind: record.Success},
		Traffic: record.Traffic{BytesIn: in, BytesOut: out, Duration: c.Duration()},
	})
	if err != nil {
		s.logger.Error("recording a log-out", "session", c.Session, "cause", err.Error())
	}
}

// login records who a connection is, at the first call with an identity: log-in. The record is not waited
// for: records become durable in order, and no reply leaves before the call's own.
func (s *Server) login(ctx context.Context, call *journal.Call) error {
	conn := transport.FromContext(ctx)
	if conn == nil || call.Principal.Kind == authn.Stranger {
		return nil
	}
	key := bindingKey(call.Principal.Kind, call.Principal.ID)
	if conn.Bound(key) {
		return nil
	}
	s.logins.Lock() // first calls come side by side
	defer s.logins.Unlock()
	if conn.Bound(key) {
		return nil
	}
	actor := journal.Actor(&call.Principal)
	_, _, err := s.journal.Begin(&record.Record{
		Event: record.SessionOpened, Actor: actor, Session: conn.Session, TraceID: call.Trace, Source: call.Connection.Source,
		Destination: call.Connection.Destination, Via: call.Connection.Via, Protocol: call.Connection.Protocol, Outcome: record.Outcome{Kind: record.Success},
	})
	if err != nil {
		return err // not bound: the next call records it
	}
	conn.Bind(key)
	if _, again := s.sessions.Swap(conn.Session, &login{actor: actor}); !again {
		s.sources.count(conn.Remote.Addr())
	}
	if conn.Duration() > 0 { // it was closed meanwhile, and its end found no log-in
		s.logout(conn)
	}
	return nil
}

func bindingKey(kind authn.Kind, id string) string { return fmt.Sprintf("%d/%s", kind, id) }

// farewell is how long a connection stays open for the last words of streams that were ended.
const farewell = time.Second

// closeSessions closes every connection on which a client or an operator made calls. Streams that may not go on
// are ended first, so that their callers are told why (ME-1-stop-misuse); no other call passes meanwhile, since
// each is checked.
func (s *Server) closeSessions(kind authn.Kind, id string) {
	key := bindingKey(kind, id)
	open := map[string]bool{}
	s.credentials.Registry().CloseWhere(func(c *transport.Conn) bool {
		open[c.Session] = c.Bound(key)
		return false
	})
	closeAll := func() {
		s.credentials.Registry().CloseWhere(func(c *transport.Conn) bool { return open[c.Session] })
	}
	if s.endStreams(kind, id) {
		time.AfterFunc(farewell, closeAll)
		return
	}
	closeAll()
}

// endStreams ends the streams of a client or an operator that may not go on, and reports whether there was one.
func (s *Server) endStreams(kind authn.Kind, id string) (ended bool) {
	s.streams.Range(func(key, _ any) bool {
		stream := key.(*checkedStream)
		if p := &stream.call.Principal; p.Kind != kind || p.ID != id {
			return true
		}
		if refused := stream.refusal(); refused != nil {
			stream.end(refused)
			ended = true
		}
		return true
	})
	return ended
}

// endAll ends streams that a stop does not wait for.
func (s *Server) endAll(which func(*checkedStream) bool) {
	s.streams.Range(func(key, _ any) bool {
		if stream := key.(*checkedStream); which(stream) {
			stream.end(fault.New(fault.ShuttingDown).WithRetryAfter(time.Second))
		}
		return true
	})
}

// closeSoon closes a connection when the answers that are on their way have had the time to arrive.
func (s *Server) closeSoon(session string) {
	if _, already := s.closing.LoadOrStore(session, nil); already {
		return
	}
	time.AfterFunc(farewell, func() {
		s.closeSession(session)
		s.closing.Delete(session)
	})
}

func (s *Server) closeSession(session string) {
	s.credentials.Registry().CloseWhere(func(c *transport.Conn) bool { return c.Session == session })
}

// connection describes the connection of a call for its record.
func (s *Server) connection(ctx context.Context) journal.Connection {
	conn := transport.FromContext(ctx)
	if conn == nil {
		return journal.Connection{}
	}
	agent := ""
	if values := metadata.ValueFromIncomingContext(ctx, "user-agent"); len(values) > 0 {
		agent = values[0]
	}
	return describe(conn, agent)
}

func describe(c *transport.Conn, agent string) journal.Connection {
	return journal.Connection{
		Session:     c.Session,
		Source:      peerOf(c.Remote),
		Destination: peerOf(c.Local),
		Via:         peerOf(c.Via),
		Protocol:    record.Protocol{TLSVersion: c.Version, Cipher: c.Cipher, ServerName: c.ServerName, UserAgent: userAgent(agent)},
	}
}

func peerOf(a netip.AddrPort) record.Peer { return record.Peer{IP: a.Addr(), Port: a.Port()} }

// userAgent maps what a caller says of itself to a closed list: a text of its own choice never enters the log.
func userAgent(said string) string {
	for _, known := range []string{"heyan-cli", "grpcurl", "grpc-go", "grpc-node-js", "grpc-java-netty", "grpc-java-okhttp",
		"grpc-python-asyncio", "grpc-python", "grpc-dotnet", "grpc-csharp", "grpc-c++", "grpc-ruby", "grpc-php", "grpc-swift", "tonic"} {
		if strings.HasPrefix(said, known) {
			return known
		}
	}
	if said == "" {
		return ""
	}
	return "other"
}

// peer is what the connection proved.
func (s *Server) peer(ctx context.Context) authn.Peer {
	conn := transport.FromContext(ctx)
	if conn == nil {
		return authn.Peer{}
	}
	p := authn.Peer{Address: conn.Remote.Addr()}
	if c := conn.Peer; c != nil {
		p.Issuers, p.Fingerprint, p.NotAfter = c.Issuers, c.Fingerprint, c.Leaf.NotAfter
		p.Names = append(append(p.Names, c.URIs...), c.DNS...)
	}
	return p
}

// trace gives a call Heyan's own trace id.
func (s *Server) trace(call *journal.Call) {
	if _, err := io.ReadFull(s.Random, call.Trace[:]); err != nil {
		s.logger.Error("reading randomness", "cause", err.Error())
	}
}
