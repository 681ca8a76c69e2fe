package outside

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/heyan-project/heyan/store/netlog/syslog"
)

// collector is a receiver of RFC 5424 messages over TLS (RFC 5425). Each checkpoint has a connection of its own: one a
// minute, and one that was kept could have been dead for long without anybody noticing, as syslog has no receipt.
type collector struct {
	address string
	tls     *tls.Config
	node    string
	now     func() time.Time
}

// message is the RFC 5424 form of a checkpoint. The note stands in it as base64: receivers escape or split at line ends,
// and would break what is signed.
func message(node string, at time.Time, note []byte) []byte {
	var origin, size string
	if lines := strings.SplitN(string(note), "\n", 3); len(lines) == 3 {
		origin, size = lines[0], lines[1]
	}
	return fmt.Appendf(syslog.AppendHeader(nil, syslog.Info, at, node, "checkpoint"),
		"- checkpoint of %s with %s records, signed note in base64: %s", origin, size, base64.StdEncoding.EncodeToString(note))
}

// frame puts a message's length before it.
func frame(message []byte) []byte {
	return append(syslog.AppendLength(nil, len(message)), message...)
}

// farewell is how long a receiver has to say that it read everything.
const farewell = 2 * time.Second

func (s *collector) send(ctx context.Context, note []byte) error {
	raw, err := (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	conn := raw.(*tls.Conn) // as tls.Dialer says
	defer conn.Close()
	// A deadline in the past, once ctx ends, frees whatever waits for the connection.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(frame(message(s.node, s.now(), note))); err != nil {
		return err
	}
	return s.bye(ctx, conn)
}

// bye ends the connection, and waits a little for the other side to do so too: it then has read everything. One that keeps
// silent is believed; one that resets the connection is not.
func (s *collector) bye(ctx context.Context, conn *tls.Conn) error {
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	defer context.AfterFunc(wait, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	var none net.Error
	_, err := io.Copy(io.Discard, conn)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &none) && none.Timeout():
		return ctx.Err()
	default:
		return err
	}
}

func (s *collector) read(context.Context, func(io.Reader) (bool, error)) error { return errWriteOnly }
