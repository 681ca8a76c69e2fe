package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

const fakeAPIKey = "hk_0123456789abcdef"

// fake is a server that answers from the request alone and is strict about what it gets: TLS 1.3, the user agent, a
// credential, no unknown members, and what each method documents.
type fake struct {
	heyanv1.UnimplementedVerificationServiceServer
	heyanv1.UnimplementedCatalogServiceServer
	heyanv1.UnimplementedConsentServiceServer
	heyanv1.UnimplementedAdminServiceServer
	heyanv1.UnimplementedAccessServiceServer
	heyanv1.UnimplementedComplianceServiceServer
	heyanv1.UnimplementedLogServiceServer

	address string
	server  *grpc.Server
	log     *fakeLog
	ca      []byte
	otherCA []byte
	client  [2][]byte // certificate and key, PEM

	mu       sync.Mutex
	requests map[string]string // newest by method, as JSON
	approved map[string]bool
	attempts int // of calls that are told to be retried
}

func newFake() (*fake, error) {
	f := &fake{requests: map[string]string{}, approved: map[string]bool{}}
	var err error
	if f.log, err = newFakeLog(); err != nil {
		return nil, err
	}
	config, err := f.certificates()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f.address = listener.Addr().String()
	f.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(config)), grpc.UnaryInterceptor(f.unary), grpc.StreamInterceptor(f.stream))
	heyanv1.RegisterVerificationServiceServer(f.server, f)
	heyanv1.RegisterCatalogServiceServer(f.server, f)
	heyanv1.RegisterConsentServiceServer(f.server, f)
	heyanv1.RegisterAdminServiceServer(f.server, f)
	heyanv1.RegisterAccessServiceServer(f.server, f)
	heyanv1.RegisterComplianceServiceServer(f.server, f)
	heyanv1.RegisterLogServiceServer(f.server, f)
	grpc_health_v1.RegisterHealthServer(f.server, health.NewServer())
	go func() { _ = f.server.Serve(listener) }() // ends with stop
	return f, nil
}

func (f *fake) stop() { f.server.Stop() }

// certificates makes an authority, a server certificate and a client certificate.
func (f *fake) certificates() (*tls.Config, error) {
	authority, authorityKey, err := issue(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	if err != nil {
		return nil, err
	}
	server, serverKey, err := issue(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"heyan.test"}}, authority, authorityKey)
	if err != nil {
		return nil, err
	}
	client, clientKey, err := issue(&x509.Certificate{DNSNames: []string{"li-wei.test"}}, authority, authorityKey)
	if err != nil {
		return nil, err
	}
	stranger, _, err := issue(&x509.Certificate{IsCA: true, BasicConstraintsValid: true}, nil, nil)
	if err != nil {
		return nil, err
	}
	f.ca, f.otherCA = pemOf("CERTIFICATE", authority.Raw), pemOf("CERTIFICATE", stranger.Raw)
	raw, err := x509.MarshalPKCS8PrivateKey(clientKey)
	if err != nil {
		return nil, err
	}
	f.client = [2][]byte{pemOf("CERTIFICATE", client.Raw), pemOf("PRIVATE KEY", raw)}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven,
		Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}},
	}, nil
}

func issue(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent, parentKey = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(raw)
	return certificate, key, err
}

func pemOf(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}

// writeConfig writes profiles: acme by API key (the default), li-wei by certificate, nobody without a credential.
func (f *fake) writeConfig(dir string) error {
	const sample = `{"notice":"dev","purpose":"account_opening","people":[
 {"name":"张三","phone_number":"13800138000"},
 {"name":"张三","id_number":"11010519491231002X","phone_number":"13800138000"}]}`
	for name, content := range map[string][]byte{
		"ca.pem": f.ca, "other-ca.pem": f.otherCA, "client.pem": f.client[0], "client.key": f.client[1], "acme.key": []byte(fakeAPIKey + "\n"),
		sampleName: []byte(sample),
	} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return profile.Save(filepath.Join(dir, profile.FileName), &profile.File{Default: "acme", Profiles: map[string]profile.Profile{
		"acme":   {Address: f.address, CAFile: "ca.pem", APIKeyFile: "acme.key"},
		"li-wei": {Address: f.address, CAFile: "ca.pem", CertFile: "client.pem", KeyFile: "client.key"},
		"nobody": {Address: f.address, CAFile: "ca.pem"},
	}})
}

// newest is the newest request of a method, "" for none.
func (f *fake) newest(method string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[method]
}

func (f *fake) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if strings.HasPrefix(info.FullMethod, "/grpc.health.") {
		return f.health(ctx, request, handle)
	}
	who, err := f.caller(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	if err := f.took(info.FullMethod, request); err != nil {
		return nil, err
	}
	if err := grpc.SetTrailer(ctx, metadata.Pairs(dial.LogEntryKey, fakeOrigin+"/7")); err != nil {
		return nil, err
	}
	return handle(context.WithValue(ctx, fakeKey{}, who), request)
}

// health refuses a probe that carries a credential.
func (f *fake) health(ctx context.Context, request any, handle grpc.UnaryHandler) (any, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if from, _ := peer.FromContext(ctx); len(md.Get("authorization")) > 0 || len(from.AuthInfo.(credentials.TLSInfo).State.PeerCertificates) > 0 {
		return nil, refuse(codes.Internal, "CREDENTIAL_SENT", "FIX_REQUEST")
	}
	switch request.(*grpc_health_v1.HealthCheckRequest).GetService() {
	case "limited":
		return nil, refuse(codes.ResourceExhausted, "RATE_LIMITED", "RETRY_SAME_ID")
	case "gone":
		return nil, status.Error(codes.Unavailable, "closing")
	}
	return handle(ctx, request)
}

func (f *fake) stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if _, err := f.caller(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	stream.SetTrailer(metadata.Pairs(dial.LogEntryKey, fakeOrigin+"/8"))
	return handle(server, strictStream{stream, f, info.FullMethod})
}

type strictStream struct {
	grpc.ServerStream
	fake   *fake
	method string
}

func (s strictStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.fake.took(s.method, m)
}

// caller is who calls: acme by API key, li-wei by certificate. Some methods take anyone.
func (f *fake) caller(ctx context.Context, method string) (string, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if agent := strings.Join(md.Get("user-agent"), ""); !strings.HasPrefix(agent, "heyan-cli/") {
		return "", status.Error(codes.Internal, "user agent")
	}
	if keys := md.Get("authorization"); len(keys) > 0 {
		if len(keys) != 1 || keys[0] != "Bearer "+fakeAPIKey {
			return "", refuse(codes.Unauthenticated, "CREDENTIAL_INVALID", "ASK_OPERATOR")
		}
		return "acme", nil
	}
	if from, ok := peer.FromContext(ctx); ok {
		if info, ok := from.AuthInfo.(credentials.TLSInfo); ok && len(info.State.PeerCertificates) > 0 {
			return "li-wei", nil
		}
	}
	if strings.HasSuffix(method, "/ListPolicies") {
		return "", nil
	}
	return "", refuse(codes.Unauthenticated, "CREDENTIAL_MISSING", "FIX_REQUEST")
}

// took records a request and refuses members that the API does not have.
func (f *fake) took(method string, request any) error {
	m, _ := request.(proto.Message)
	if len(m.ProtoReflect().GetUnknown()) > 0 {
		return refuse(codes.InvalidArgument, "FIELD_OUTSIDE_CEILING", "FIX_REQUEST")
	}
	raw, err := output.Sparse(m)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests[path.Base(method)] = string(raw)
	return nil
}

// refuse makes a refusal as Heyan does. more is metadata by pairs, or further details.
func refuse(code codes.Code, reason, handling string, more ...any) error {
	info := &errdetails.ErrorInfo{Domain: "heyan", Reason: reason, Metadata: map[string]string{"handling": handling}}
	details := []protoadapt.MessageV1{info}
	for i := 0; i < len(more); i++ {
		switch m := more[i].(type) {
		case string:
			info.Metadata[m] = fmt.Sprint(more[i+1])
			i++
		case protoadapt.MessageV1:
			details = append(details, m)
		}
	}
	s, err := status.New(code, reason).WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return s.Err()
}
