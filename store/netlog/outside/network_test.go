package outside

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// endpoint keeps what was posted to it, and answers it to a GET.
type endpoint struct {
	*httptest.Server
	ca, token string // paths
	mu        sync.Mutex
	status    int
	kept      []byte
	seen      []*http.Request
}

const secret = "tok-3f9c"

func newEndpoint(t *testing.T) *endpoint {
	t.Helper()
	e := &endpoint{status: http.StatusNoContent}
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.seen = append(e.seen, r)
		switch {
		case r.Header.Get("Authorization") != "Bearer "+secret:
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodGet:
			_, _ = w.Write(e.kept)
		case e.status/100 == 3:
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(e.status)
		default:
			if e.status/100 == 2 {
				e.kept = body
			}
			w.WriteHeader(e.status)
		}
	}))
	e.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the handshakes that fail
	e.StartTLS()
	t.Cleanup(e.Close)
	dir := t.TempDir()
	e.ca, e.token = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	write(t, e.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw}))
	write(t, e.token, []byte(secret+"\n"))
	return e
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (e *endpoint) line() string {
	return e.URL + "/keep/hidden-path?ca=" + e.ca + "&token=" + e.token
}

// A note is posted as it is, read back, and refuses a log that was rolled back. Options are not sent.
func TestEndpoint(t *testing.T) {
	e := newEndpoint(t)
	target := open(t, e.line())[0]
	h := newHistory(t, "node1-0123456789abcdef", 1).grow(20, "a")
	if doubts, _ := check(t, h, target); len(doubts) != 1 || !errors.Is(doubts[0], ErrNone) {
		t.Errorf("an endpoint that has none: %v", doubts)
	}
	send(t, target, h.note())
	r := e.seen[len(e.seen)-1]
	if !bytes.Equal(e.kept, h.note()) || r.URL.String() != "/keep/hidden-path" || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%v has %q", r.URL, e.kept)
	}
	if doubts, err := check(t, h, target); err != nil || len(doubts) > 0 {
		t.Errorf("%v, %v", err, doubts)
	}
	_, err := check(t, newHistory(t, "node1-0123456789abcdef", 1).grow(19, "a"), target)
	wantRefused(t, err, Behind, 20, 19)
}

// What is no success is none, a token goes to the host that was named only, and no error has the address or the token.
func TestEndpointFails(t *testing.T) {
	e := newEndpoint(t)
	target := open(t, e.line())[0]
	h := newHistory(t, "node1-0123456789abcdef", 1).grow(20, "a")
	fails := func(why string, target *Target) {
		t.Helper()
		err := target.send(t.Context(), h.note())
		if err == nil {
			t.Fatalf("%s: sent", why)
		}
		doubts, _ := check(t, h, target)
		for _, err := range append(doubts, err) {
			if strings.Contains(err.Error(), "hidden-path") || strings.Contains(err.Error(), secret) {
				t.Errorf("%s: says %q", why, err)
			}
		}
	}
	for _, status := range []int{500, 302, 307, 404} {
		e.status = status
		fails(fmt.Sprint(status), target)
	}
	for _, r := range e.seen {
		if r.URL.Path == "/elsewhere" {
			t.Error("a redirect was followed")
		}
	}
	e.status = 200
	write(t, e.token, []byte("wrong\n"))
	fails("a wrong token", target)
	write(t, e.token, []byte("two words\n"))
	fails("a token that is none", target)
	write(t, e.token, []byte(secret))
	fails("an unknown CA", open(t, e.URL+"/hidden-path?token="+e.token)[0])
	e.Close()
	fails("nobody there", target)
}

// receiver is a syslog server over TLS.
type receiver struct {
	net.Listener
	ca       string
	messages chan string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	e := newEndpoint(t) // for its certificate
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: e.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{l, e.ca, make(chan string, 8)}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.take(conn)
		}
	}()
	return r
}

// take reads frames: octet counting.
func (r *receiver) take(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		var n int
		if _, err := fmt.Fscanf(in, "%d ", &n); err != nil {
			return
		}
		message := make([]byte, n)
		if _, err := io.ReadFull(in, message); err != nil {
			return
		}
		r.messages <- string(message)
	}
}

var rfc5424 = regexp.MustCompile(`^<110>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z node1 heyan - checkpoint - checkpoint of (\S+) with (\d+) records, signed note in base64: ([A-Za-z0-9+/=]+)$`)

// A checkpoint is one message in one line, from which the note comes back byte for byte.
func TestSyslog(t *testing.T) {
	r := newReceiver(t)
	target := open(t, "syslog+tls://"+r.Addr().String()+"?ca="+r.ca)[0]
	h := newHistory(t, "node1-0123456789abcdef", 1)
	for range 3 {
		send(t, target, h.grow(h.Size()+10, "a").note())
		got := rfc5424.FindStringSubmatch(<-r.messages)
		if got == nil || got[1] != "node1-0123456789abcdef" || got[2] != fmt.Sprint(h.Size()) {
			t.Fatalf("received %q", got)
		}
		if note, err := base64.StdEncoding.DecodeString(got[3]); err != nil || !bytes.Equal(note, h.note()) {
			t.Errorf("%q, %v", note, err)
		}
	}
	if doubts, err := check(t, newHistory(t, "node1-0123456789abcdef", 1).grow(1, "a"), target); err != nil || len(doubts) > 0 {
		t.Errorf("it cannot be read: %v, %v", err, doubts)
	}
}

// A receiver that is not there, is somebody else, speaks no TLS, or hangs, is a failure within the time there is.
func TestSyslogFails(t *testing.T) {
	r := newReceiver(t)
	h := newHistory(t, "node1-0123456789abcdef", 1).grow(20, "a")
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close() // accepts by the kernel, and never says a word
	for name, target := range map[string]*Target{
		"an unknown CA": open(t, "syslog+tls://"+r.Addr().String())[0],
		"no TLS":        open(t, "syslog+tls://"+plain.Addr().String()+"?ca="+r.ca)[0],
		"nobody there":  open(t, "syslog+tls://127.0.0.1:1?ca="+r.ca)[0],
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if err := target.send(ctx, h.note()); err == nil {
			t.Errorf("%s: sent", name)
		}
		cancel()
	}
}
