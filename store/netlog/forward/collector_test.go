package forward

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// authority issues certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return &authority{cert, key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue makes a certificate for a name, "127.0.0.1" or another; an expired one ended a minute ago.
func (a *authority) issue(t testing.TB, name string, expired bool) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if expired {
		template.NotAfter = time.Now().Add(-time.Minute)
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// collector is a syslog receiver over TLS. behave says what it does with a connection; nil reads all.
type collector struct {
	t        testing.TB
	listener net.Listener
	tls      *tls.Config
	behave   func(number int, conn *tls.Conn)

	mu       sync.Mutex
	messages []message
	shaken   int // handshakes that succeeded
	open     []net.Conn
	tasks    sync.WaitGroup
}

func newCollector(t testing.TB, config *tls.Config, behave func(int, *tls.Conn)) *collector {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &collector{t: t, listener: listener, tls: config, behave: behave}
	if behave == nil {
		c.behave = func(_ int, conn *tls.Conn) { c.readAll(conn) }
	}
	c.tasks.Go(c.accept)
	t.Cleanup(c.close)
	return c
}

func (c *collector) address() string { return c.listener.Addr().String() }

func (c *collector) close() {
	c.listener.Close()
	c.mu.Lock()
	for _, conn := range c.open {
		conn.Close()
	}
	c.mu.Unlock()
	c.tasks.Wait()
}

func (c *collector) accept() {
	for number := 0; ; number++ {
		plain, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.open = append(c.open, plain)
		c.mu.Unlock()
		c.tasks.Go(func() {
			defer plain.Close()
			conn := tls.Server(plain, c.tls)
			if conn.Handshake() != nil {
				return
			}
			c.mu.Lock()
			c.shaken++
			c.mu.Unlock()
			c.behave(number, conn)
			conn.Close()
		})
	}
}

func (c *collector) readAll(conn *tls.Conn) { c.read(conn, -1) }

// read takes n messages, or all for n < 0.
func (c *collector) read(conn io.Reader, n int) {
	in := bufio.NewReader(conn)
	for ; n != 0; n-- {
		m, err := readFrame(in)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrUnexpectedEOF) && !broken(err) {
				c.t.Errorf("collector: %v", err)
			}
			return
		}
		c.mu.Lock()
		c.messages = append(c.messages, m)
		c.mu.Unlock()
	}
}

func broken(err error) bool { var op *net.OpError; return errors.As(err, &op) }

func (c *collector) got() []message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]message(nil), c.messages...)
}

// wait returns once ok holds of the messages.
func (c *collector) wait(ok func([]message) bool) []message {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		got := c.got()
		if ok(got) {
			return got
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("not reached with %d messages", len(got))
		}
	}
}

// message is one RFC 5424 message.
type message struct {
	priority                             int
	at                                   time.Time
	host, app, process, event, text, raw string
	data                                 map[string]map[string]string
}

// index is the record's index, or -1 of another message.
func (m message) index() int {
	n, err := strconv.Atoi(m.data["heyan@32473"]["index"])
	if err != nil {
		return -1
	}
	return n
}

// readFrame reads MSG-LEN SP SYSLOG-MSG, RFC 5425 section 4.3.
func readFrame(in *bufio.Reader) (message, error) {
	length, err := in.ReadString(' ')
	if err != nil {
		return message{}, err
	}
	if !regexp.MustCompile(`^[1-9][0-9]{0,6} $`).MatchString(length) {
		return message{}, fmt.Errorf("MSG-LEN is %q", length)
	}
	n, _ := strconv.Atoi(strings.TrimSpace(length))
	text := make([]byte, n)
	if _, err := io.ReadFull(in, text); err != nil {
		return message{}, err
	}
	return parse(string(text))
}

var header = regexp.MustCompile(`^<(0|[1-9][0-9]{0,2})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) ` +
	`([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) `)

var element = regexp.MustCompile(`^\[([!#-<>-\\^-~]{1,32})`)
var parameter = regexp.MustCompile(`^ ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"`)

// parse reads a message strictly by the grammar of RFC 5424 section 6.
func parse(text string) (message, error) {
	bad := func(what string) (message, error) { return message{}, fmt.Errorf("%s: %q", what, text) }
	h := header.FindStringSubmatch(text)
	if h == nil {
		return bad("header")
	}
	m := message{host: h[3], app: h[4], process: h[5], event: h[6], data: map[string]map[string]string{}, raw: text}
	if m.priority, _ = strconv.Atoi(h[1]); m.priority > 191 {
		return bad("PRI")
	}
	var err error
	if m.at, err = time.Parse(time.RFC3339Nano, h[2]); err != nil {
		return bad("TIMESTAMP")
	}
	rest := text[len(h[0]):]
	for strings.HasPrefix(rest, "[") {
		e := element.FindStringSubmatch(rest)
		if e == nil || m.data[e[1]] != nil {
			return bad("SD-ID")
		}
		m.data[e[1]], rest = map[string]string{}, rest[len(e[0]):]
		for p := parameter.FindStringSubmatch(rest); p != nil; p = parameter.FindStringSubmatch(rest) {
			if !utf8.ValidString(p[2]) {
				return bad("PARAM-VALUE")
			}
			m.data[e[1]][p[1]] = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\]`, `]`).Replace(p[2])
			rest = rest[len(p[0]):]
		}
		if !strings.HasPrefix(rest, "]") {
			return bad("SD-ELEMENT")
		}
		rest = rest[1:]
	}
	if len(m.data) == 0 || !strings.HasPrefix(rest, " ") {
		return bad("STRUCTURED-DATA")
	}
	m.text = rest[1:]
	if strings.ContainsAny(m.text, "\n\r\x00") {
		return bad("MSG")
	}
	return m, nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
