// Package dial connects to a Heyan server as the command line does it: TLS 1.3, a certificate or an API key, and
// retries where a retry cannot do harm.
//
// A call of the connection that fails returns a [CallError], which holds the gRPC status and the place of its record
// in the network log (trailer heyan-log-entry). It unwraps to the status.
//
// Retried, up to four times and only on UNAVAILABLE, are VerificationService, CatalogService and ConsentService,
// whose calls are idempotent by request_id or by content, and the reading methods of the others. An act of an
// administrator is never sent twice.
//
// Not guaranteed: that a server answers. gRPC connects with the first call.
package dial

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

const (
	maxReceive    = 16 << 20 // a batch answer with a thousand receipts
	keepaliveTime = 60 * time.Second
	keepaliveWait = 20 * time.Second
)

// ErrNoAddress says that nothing states where the server is.
var ErrNoAddress = errors.New("no server address")

// Connection is an open connection. Close it.
type Connection struct {
	*grpc.ClientConn
	entries *entries
}

// LogEntry is the place of the newest call's record in the network log, "" where the server told none.
func (c *Connection) LogEntry() string { return c.entries.last() }

// Open prepares a connection to what target states. version goes into the user agent, "heyan-cli/<version>".
func Open(target profile.Layer, version string) (*Connection, error) {
	if target.Address == "" {
		return nil, ErrNoAddress
	}
	if _, _, err := net.SplitHostPort(target.Address); err != nil {
		return nil, errors.New("the server address is not of the form host:port")
	}
	config, err := TLSConfig(target)
	if err != nil {
		return nil, err
	}
	key, err := apiKey(target)
	if err != nil {
		return nil, err
	}
	recorded := &entries{}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithUserAgent("heyan-cli/" + version),
		grpc.WithDefaultServiceConfig(serviceConfig()),
		grpc.WithDisableServiceConfig(), // what DNS says of retries is not ours
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceive)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveWait}),
		grpc.WithUnaryInterceptor(recorded.unary),
		grpc.WithStreamInterceptor(recorded.stream),
	}
	if key != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(key)))
	}
	conn, err := grpc.NewClient("passthrough:///"+target.Address, options...)
	if err != nil {
		return nil, err
	}
	return &Connection{ClientConn: conn, entries: recorded}, nil
}

// TLSConfig is TLS 1.3 with the authorities, client certificate and server name of target.
func TLSConfig(target profile.Layer) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: target.ServerName}
	if target.CAFile != "" {
		var err error
		if config.RootCAs, err = keyfile.ReadCA(target.CAFile); err != nil {
			return nil, err
		}
	}
	if (target.CertFile == "") != (target.KeyFile == "") {
		return nil, errors.New("a client certificate needs both a certificate file and a key file")
	}
	if target.CertFile != "" {
		if err := private(target.KeyFile); err != nil {
			return nil, err
		}
		certificate, err := tls.LoadX509KeyPair(target.CertFile, target.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}

func apiKey(target profile.Layer) (string, error) {
	if target.APIKey != "" {
		return strings.TrimSpace(target.APIKey), nil
	}
	if target.APIKeyFile == "" {
		return "", nil
	}
	if err := private(target.APIKeyFile); err != nil {
		return "", err
	}
	raw, err := os.ReadFile(target.APIKeyFile)
	if err != nil {
		return "", err
	}
	key := strings.TrimSpace(string(raw))
	if key == "" || strings.ContainsAny(key, " \t\r\n") {
		return "", fmt.Errorf("%s: holds no API key on one line", target.APIKeyFile)
	}
	return key, nil
}

// private refuses a secret that every user of the machine can read. Windows keeps access elsewhere.
func private(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	const others fs.FileMode = 0o007
	if runtime.GOOS != "windows" && info.Mode().Perm()&others != 0 {
		return fmt.Errorf("%s: a secret that others can read; run: chmod 600 %s", path, path)
	}
	return nil
}

// bearer sends an API key, over TLS only.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

// String keeps the key out of prints.
func (bearer) String() string { return "[redacted]" }

// GoString keeps the key out of prints with %#v.
func (bearer) GoString() string { return "[redacted]" }

// serviceConfig is the gRPC service config with the retries that the package doc states.
func serviceConfig() string {
	type name struct {
		Service string `json:"service"`
		Method  string `json:"method,omitempty"`
	}
	names := []name{
		{Service: heyanv1.VerificationService_ServiceDesc.ServiceName},
		{Service: heyanv1.CatalogService_ServiceDesc.ServiceName},
		{Service: heyanv1.ConsentService_ServiceDesc.ServiceName},
	}
	for _, service := range []*grpc.ServiceDesc{
		&heyanv1.AdminService_ServiceDesc, &heyanv1.AccessService_ServiceDesc,
		&heyanv1.ComplianceService_ServiceDesc, &heyanv1.LogService_ServiceDesc,
	} {
		for _, method := range service.Methods {
			if strings.HasPrefix(method.MethodName, "Get") || strings.HasPrefix(method.MethodName, "List") {
				names = append(names, name{service.ServiceName, method.MethodName})
			}
		}
	}
	config := map[string]any{"methodConfig": []any{map[string]any{
		"name": names,
		"retryPolicy": map[string]any{
			"maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
			"retryableStatusCodes": []string{"UNAVAILABLE"},
		},
	}}}
	raw, err := json.Marshal(config)
	if err != nil {
		panic("dial: service config: " + err.Error()) // strings and numbers always marshal
	}
	return string(raw)
}
