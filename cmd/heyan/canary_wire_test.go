package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/pki"
)

// collector keeps the bytes of every message that an OpenTelemetry exporter sends, whatever they say.
type collector struct {
	address string
	mu      sync.Mutex
	bytes   []byte
}

func collect(t testing.TB) *collector {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{address: listener.Addr().String()}
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
		c.mu.Lock()
		c.bytes = append(c.bytes, message...)
		c.mu.Unlock()
		return stream.SendMsg([]byte{})
	}))
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return c
}

func (c *collector) all() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.bytes)
}

// metadata sends marked values in what surrounds a call.
func (c *canaries) metadata() {
	verify, policies := methodOf("VerificationService/Verify"), methodOf("CatalogService/ListPolicies")
	customer := c.customers[0]
	where := "metadata"
	id := c.mint("id", "traceparent")
	for strings.HasSuffix(id, "X") {
		id = c.mint("id", "traceparent")
	}
	pairs := [][]string{
		{"x-" + c.mint("phone", where+" key"), "1"}, {"x-customer", c.mint("phone", where)}, {"x-id", c.mint("id", where), "x-id", c.mint("card", where)},
		{"x-name-bin", c.mint("name", where)}, {"x-plate-bin", c.mint("plate", where)},
		{"traceparent", fmt.Sprintf("00-%032s-%016s-01", id, c.mint("phone", "traceparent"))},
		{"tracestate", "vendor=" + c.mint("phone", "tracestate")}, {"baggage", "person=" + c.mint("id", "baggage")},
		{"grpc-trace-bin", c.mint("card", "grpc-trace-bin")}, {"x-forwarded-for", c.mint("phone", where)}, {"cookie", "p=" + c.mint("phone", where)},
		{"referer", "https://example.cn/?id=" + c.mint("id", where)}, {"heyan-log-entry", c.mint("phone", where)},
		{"grpc-tags-bin", c.mint("id", where)}, {"b3", c.mint("card", "b3")}, {"uber-trace-id", c.mint("card", where)},
	}
	for _, pair := range pairs {
		ctx := metadata.AppendToOutgoingContext(context.Background(), pair...)
		for _, conn := range []grpc.ClientConnInterface{customer.conn, c.crew.system} {
			for _, m := range []method{verify, policies} {
				r := request{customer.verify(c.office)}
				if m.name == policies.name {
					r = request{&heyanv1.ListPoliciesRequest{}}
				}
				replies, told, err := m.call(ctx, conn, r)
				c.keepReply("metadata", replies, told, err)
			}
		}
	}
	c.credentials(policies)
	// A user agent that the caller chose, and a content type and an authority, which come back to who sent them: gRPC
	// answers with the same content type.
	for _, option := range []grpc.DialOption{
		grpc.WithUserAgent("app/" + c.mint("phone", "user agent")), grpc.WithUserAgent(c.mint("id", "user agent")),
	} {
		conn := dialPlain(c.t, c.home, c.process.serving.Address, customer.key, option)
		replies, told, err := policies.call(context.Background(), conn, request{&heyanv1.ListPoliciesRequest{}})
		c.keepReply("a call with a user agent", replies, told, err)
	}
	anywhere := grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}))
	for _, option := range []grpc.DialOption{
		grpc.WithAuthority(c.mint("phone", "authority") + ".example.cn"), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(named{c.mint("phone", "content type")})),
	} {
		conn := dialPlain(c.t, c.home, c.process.serving.Address, customer.key, anywhere, option)
		if _, _, err := policies.call(context.Background(), conn, request{&heyanv1.ListPoliciesRequest{}}); err != nil {
			c.t.Errorf("an authority or content type of the caller's own: %v", err)
		}
	}
}

// credentials sends what is no credential, and two at once.
func (c *canaries) credentials(m method) {
	phone, id := c.mint("phone", "authorization"), c.mint("id", "authorization")
	basic := base64.StdEncoding.EncodeToString([]byte(c.mint("phone", "authorization") + ":" + c.mint("id", "authorization")))
	for _, value := range []string{phone, "Bearer " + phone, "Bearer " + id, "Basic " + basic, "Bearer heyan_live_" + id, "Bearer heyan_test_" + strings.Repeat(phone, 6),
		"bearer\t" + id, "Digest username=" + id} {
		conn := dialPlain(c.t, c.home, c.process.serving.Address, "")
		for _, r := range []struct {
			m method
			r request
		}{{m, request{&heyanv1.ListPoliciesRequest{}}}, {methodOf("VerificationService/Verify"), request{c.customers[0].verify(c.office)}}} {
			ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", value)
			replies, told, err := r.m.call(ctx, conn, r.r)
			c.keepReply("authorization", replies, told, err)
		}
	}
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+phone)
	replies, told, err := m.call(ctx, c.customers[1].conn, request{&heyanv1.ListPoliciesRequest{}})
	c.keepReply("two authorizations", replies, told, err)
}

// named is the codec of protobuf under another name, which goes into the content type.
type named struct{ name string }

func (n named) Name() string { return n.name }

func (named) Marshal(v any) (mem.BufferSlice, error) {
	b, err := proto.Marshal(v.(proto.Message))
	if err != nil {
		return nil, err
	}
	return rawCodec{}.Marshal(b)
}

func (named) Unmarshal(data mem.BufferSlice, v any) error {
	return proto.Unmarshal(data.Materialize(), v.(proto.Message))
}

// messages sends bytes that are no message of the API, to methods that are none, and to the services beside the API.
func (c *canaries) messages() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	customer := c.customers[2]
	lawful, err := proto.Marshal(customer.verify(c.office))
	c.must(err)
	text := func(number protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), s)
	}
	phone := c.mint("phone", "malformed message")
	for what, extra := range map[string][]byte{
		"a seventh field":   protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), text(7, c.mint("phone", "seventh field"))),
		"an unknown member": text(99, c.mint("id", "unknown member")),
		"invalid UTF-8":     text(3, c.mint("phone", "invalid UTF-8")+"\xff\xfe"),
		"an unknown enum":   append(protowire.AppendVarint(protowire.AppendTag(nil, 7, protowire.VarintType), 4711), text(11, c.mint("id", "unknown enum"))...),
		"no message":        []byte("id_number=" + c.mint("id", "no message")),
		"a group":           append(protowire.AppendTag(nil, 98, protowire.StartGroupType), text(1, phone)...),
		"cut off":           append([]byte{0x0a, 0x7f}, c.mint("card", "cut off")...),
	} {
		for _, full := range []string{heyanv1.VerificationService_Verify_FullMethodName, "/heyan.v1.AdminService/CreateClient"} {
			for _, conn := range []grpc.ClientConnInterface{customer.conn, c.crew.system} {
				var reply []byte
				var trailer metadata.MD
				err := conn.Invoke(ctx, full, append(bytes.Clone(lawful), extra...), &reply, grpc.ForceCodecV2(rawCodec{}), grpc.Trailer(&trailer))
				if err == nil {
					c.t.Errorf("%s is accepted", what)
				}
				c.keepReply(what, nil, trailer, err)
			}
		}
	}
	for _, full := range []string{"/heyan.v1.VerificationService/" + c.mint("phone", "method name"), "/" + c.mint("id", "service name") + "/Verify",
		"/heyan.v1.AdminService/Get?id=" + c.mint("card", "method name")} {
		for _, conn := range []grpc.ClientConnInterface{customer.conn, c.crew.audit} {
			var reply []byte
			err := conn.Invoke(ctx, full, lawful, &reply, grpc.ForceCodecV2(rawCodec{}))
			// grpc-go answers some of them itself, and to who sent them.
			if err == nil {
				c.t.Errorf("an unknown method is answered")
			}
		}
	}
	c.headers(ctx, lawful)
	c.beside(ctx)
}

// headers sends what no gRPC library would: headers of the protocol with marked values, which grpc-go refuses by itself,
// with errors that quote them to who sent them.
func (c *canaries) headers(ctx context.Context, message []byte) {
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	frame := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	for name, value := range map[string]string{
		"grpc-timeout": c.mint("phone", "grpc-timeout") + "S", "grpc-encoding": c.mint("phone", "grpc-encoding"), "content-type": "text/" + c.mint("phone", "content-type"),
		"te": c.mint("phone", "te"), "x-raw-bin": "!" + c.mint("phone", "metadata that is no base64"), "grpc-status-details-bin": c.mint("id", "grpc-status-details-bin"),
	} {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost,
			"https://"+c.process.serving.Address+heyanv1.VerificationService_Verify_FullMethodName, bytes.NewReader(frame))
		c.must(err)
		r.Header.Set("content-type", "application/grpc")
		r.Header.Set("te", "trailers")
		r.Header.Set("authorization", "Bearer "+c.customers[0].key)
		r.Header.Set(name, value)
		if name == "grpc-encoding" {
			frame[0] = 1 // compressed, in a coding that nobody has
		}
		if answer, err := client.Do(r); err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
		}
		frame[0] = 0
	}
}

// beside calls the services that are not Heyan's own.
func (c *canaries) beside(ctx context.Context) {
	anonymous := dialPlain(c.t, c.home, c.process.serving.Address, "")
	for _, conn := range []grpc.ClientConnInterface{anonymous, c.customers[0].conn, c.crew.system} {
		_, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: c.mint("phone", "health check")})
		c.keepReply("Health/Check", nil, nil, err)
		watching, stop := context.WithCancel(ctx)
		watch, err := healthv1.NewHealthClient(conn).Watch(watching, &healthv1.HealthCheckRequest{Service: c.mint("id", "health watch")})
		if err == nil {
			_, _ = watch.Recv()
		}
		stop()
		for _, r := range []*reflectionv1.ServerReflectionRequest{
			{Host: c.mint("phone", "reflection host"), MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{ListServices: c.mint("id", "reflection")}},
			{MessageRequest: &reflectionv1.ServerReflectionRequest_FileByFilename{FileByFilename: c.mint("id", "reflection file")}},
			{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: c.mint("name", "reflection symbol")}},
		} {
			stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
			if err != nil {
				c.t.Error(err)
				continue
			}
			// Reflection echoes the request to who sent it, as its protocol asks: the reply is not kept.
			_ = stream.Send(r)
			_ = stream.CloseSend()
			_, _ = stream.Recv()
			_, _ = stream.Recv()
		}
	}
}

// connections sends marked values before there is a call: server names, protocols, certificates, plaintext, and the
// status port.
func (c *canaries) connections() {
	address := c.process.serving.Address
	for _, config := range []*tls.Config{
		{ServerName: c.mint("phone", "server name") + ".example.cn"},
		{ServerName: c.mint("id", "server name") + ".cn", NextProtos: []string{"h2"}},
		{ServerName: "localhost", NextProtos: []string{c.mint("card", "ALPN"), "h2"}},
		{ServerName: "localhost", NextProtos: []string{c.mint("phone", "ALPN")}},
		{ServerName: "localhost", MaxVersion: tls.VersionTLS12},
	} {
		config.InsecureSkipVerify = true // whoever reads what is sent, it must not keep it
		conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: config}).Dial("tcp", address)
		if err != nil {
			continue
		}
		_, _ = conn.Write([]byte(c.mint("phone", "bytes after the handshake") + "\r\n\r\n"))
		drain(conn)
	}
	named := &tls.Config{ServerName: c.mint("phone", "server name of a call") + ".example.cn", InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	c.callWith(named, c.customers[0].key)
	c.certificates()
	for _, plain := range []string{
		"GET /" + c.mint("phone", "plaintext") + " HTTP/1.1\r\nHost: " + c.mint("id", "plaintext") + "\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + c.mint("card", "plaintext HTTP/2"), c.mint("name", "plaintext") + c.mint("id", "plaintext"),
	} {
		conn, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			c.t.Error(err)
			continue
		}
		_, _ = io.WriteString(conn, plain)
		drain(conn)
	}
	plain, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	c.must(err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if _, err := heyanv1.NewVerificationServiceClient(plain).Verify(ctx, c.customers[0].verify(c.office)); err == nil {
		c.t.Error("a plaintext call is answered")
	}
	_ = plain.Close()
	c.statusPort()
}

// certificates present who cannot be: another CA, an unknown operator, names of people.
func (c *canaries) certificates() {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(c.home, "certs", name))
		c.must(err)
		return b
	}
	own, err := pki.Load(read("ca.pem"), read("ca.key"), rand.Reader)
	c.must(err)
	foreign, err := pki.New(c.mint("name", "name of a CA"), time.Now(), rand.Reader)
	c.must(err)
	for _, ca := range []*pki.Authority{own, foreign} {
		issued, err := ca.Issue(pki.Leaf{Name: c.mint("id", "common name"), URI: "spiffe://heyan/operator/" + c.mint("phone", "subject alternative name"),
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)})
		c.must(err)
		pair, err := issued.TLS()
		c.must(err)
		c.callWith(&tls.Config{RootCAs: own.Pool(), MinVersion: tls.VersionTLS13,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}, "")
	}
}

// callWith makes calls over a TLS configuration of the test's own.
func (c *canaries) callWith(config *tls.Config, key string) {
	options := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(config))}
	if key != "" {
		options = append(options, grpc.WithPerRPCCredentials(apiKeyOf(key)))
	}
	conn, err := grpc.NewClient("passthrough:///"+c.process.serving.Address, options...)
	c.must(err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, m := range []method{methodOf("CatalogService/GetAccount"), methodOf("CatalogService/ListPolicies")} {
		replies, told, err := m.call(ctx, conn, templates[m.name][0].build(c.office, c.customers[0]))
		c.keepReply("a call over TLS of its own", replies, told, err)
	}
}

func drain(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.Close()
}

// statusPort asks the port of metrics and probes for what it does not have.
func (c *canaries) statusPort() {
	for _, path := range []string{"/" + c.mint("phone", "status path"), "/metrics?person=" + c.mint("id", "status query"), "/readyz?verbose=" + c.mint("phone", "status query")} {
		r, err := http.NewRequest(http.MethodGet, "http://"+c.process.serving.Status+path, strings.NewReader(c.mint("card", "status body")))
		c.must(err)
		r.Header.Set("User-Agent", c.mint("phone", "status user agent"))
		answer, err := http.DefaultClient.Do(r)
		c.must(err)
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		c.keep("the status port", body)
	}
}

func (c *canaries) metrics() []byte {
	answer, err := http.Get("http://" + c.process.serving.Status + "/metrics")
	c.must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	c.must(err)
	return body
}

// keepFiles keeps every file of the data directory as it lies there, and its name.
func (c *canaries) keepFiles(when string) {
	root := filepath.Join(c.home, "data")
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // a running server removes files
		}
		name, _ := filepath.Rel(root, path)
		c.keep("file "+name+", "+when, content)
		c.keep("a file's name", []byte(name))
		files++
		return err
	})
	if err != nil || files < 10 {
		c.t.Errorf("%d files in the data directory, %v", files, err)
	}
}

// copyOf copies a folder as it lies there.
func copyOf(t testing.TB, home string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(home)); err != nil {
		t.Fatal(err)
	}
	// CopyFS adds rights for others; key files that others may read are refused.
	if err := filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	}); err != nil {
		t.Fatal(err)
	}
	return to
}
