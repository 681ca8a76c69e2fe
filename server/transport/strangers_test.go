package transport_test

import (
	"crypto/tls"
	"testing"

	"github.com/heyan-project/heyan/server/transport"
)

// TestStrangersAreFew: connections without an identity are bounded in number; one that has shown who it is, or has
// ended, makes room.
func TestStrangersAreFew(t *testing.T) {
	for name, limit := range map[string]func(*transport.Config){
		"from one": func(c *transport.Config) { c.MaxFromOne = 2 },
		"in all":   func(c *transport.Config) { c.MaxStrangers = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, limit)
			connect := func() (*tls.Conn, *transport.Conn) {
				t.Helper()
				config := s.client()
				config.NextProtos = []string{"h2"}
				conn, err := tls.Dial("tcp", s.address, config)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				return conn, within(t, s.opened)
			}
			full := func() {
				t.Helper()
				conn, err := tls.Dial("tcp", s.address, s.client())
				if err == nil {
					conn.Close()
					t.Error("one too many was let in")
				}
				if f := within(t, s.failed); f.Cause != transport.Overloaded {
					t.Errorf("refused as %v", f.Cause)
				}
			}
			_, first := connect()
			second, _ := connect()
			full()
			first.Identify()
			first.Identify() // counts once
			connect()
			full()
			second.Close()
			within(t, s.closed)
			connect()
			full()
		})
	}
}
