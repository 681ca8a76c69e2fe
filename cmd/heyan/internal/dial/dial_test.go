package dial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
)

// What may be retried is what cannot be done twice by it.
func TestRetriedMethods(t *testing.T) {
	var config struct {
		MethodConfig []struct {
			Name        []struct{ Service, Method string }
			RetryPolicy struct{ RetryableStatusCodes []string }
		}
	}
	if err := json.Unmarshal([]byte(serviceConfig()), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.MethodConfig) != 1 || fmt.Sprint(config.MethodConfig[0].RetryPolicy.RetryableStatusCodes) != "[UNAVAILABLE]" {
		t.Fatalf("config %+v", config)
	}
	names := map[string]bool{}
	for _, n := range config.MethodConfig[0].Name {
		names[n.Service+"/"+n.Method] = true
		acts := strings.HasSuffix(n.Service, "AdminService") || strings.HasSuffix(n.Service, "AccessService") ||
			strings.HasSuffix(n.Service, "ComplianceService") || strings.HasSuffix(n.Service, "LogService")
		if acts && !strings.HasPrefix(n.Method, "Get") && !strings.HasPrefix(n.Method, "List") {
			t.Errorf("%s/%s would be sent twice", n.Service, n.Method)
		}
	}
	for _, want := range []string{"heyan.v1.VerificationService/", "heyan.v1.AdminService/ListClients", "heyan.v1.LogService/GetCheckpoint"} {
		if !names[want] {
			t.Errorf("%s is not retried", want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const secret = "hk_secret"
	for name, target := range map[string]profile.Profile{
		"no port":           {Address: "host"},
		"no such authority": {Address: "h:1", CAFile: filepath.Join(dir, "absent")},
		"empty authority":   {Address: "h:1", CAFile: file("empty", "", 0o600)},
		"half certificate":  {Address: "h:1", CertFile: file("cert", "", 0o600)},
		"two keys":          {Address: "h:1", APIKeyFile: file("two", secret+"\n"+secret+"\n", 0o600)},
		"empty key":         {Address: "h:1", APIKeyFile: file("none", "\n", 0o600)},
	} {
		_, err := Open(profile.Layer{Profile: target}, "v0")
		if err == nil {
			t.Errorf("%s: opened", name)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v shows the key", name, err)
		}
	}
	if _, err := Open(profile.Layer{}, "v0"); !errors.Is(err, ErrNoAddress) {
		t.Errorf("no address: %v", err)
	}
	if runtime.GOOS != "windows" {
		readable := file("readable", secret, 0o644)
		if _, err := Open(profile.Layer{Profile: profile.Profile{Address: "h:1", APIKeyFile: readable}}, "v0"); err == nil {
			t.Error("a key that others can read was taken")
		}
	}
}

func TestKeyDoesNotPrint(t *testing.T) {
	key := bearer("hk_secret")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, key); strings.Contains(text, "secret") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
	headers, err := key.GetRequestMetadata(context.Background())
	if err != nil || headers["authorization"] != "Bearer hk_secret" || !key.RequireTransportSecurity() {
		t.Errorf("headers %v, %v", len(headers), err)
	}
}

func TestCallError(t *testing.T) {
	var e entries
	err := e.wrap(status.Error(codes.NotFound, "a message of the server"), metadata.Pairs(LogEntryKey, "o/7"))
	var call *CallError
	if !errors.As(err, &call) || call.LogEntry != "o/7" || status.Code(err) != codes.NotFound || e.last() != "o/7" {
		t.Errorf("wrap = %#v", err)
	}
	if strings.Contains(err.Error(), "message") {
		t.Errorf("%q repeats the server's message", err.Error())
	}
	if err := e.wrap(io.EOF, nil); !errors.Is(err, io.EOF) || e.last() != "" {
		t.Errorf("wrap(EOF) = %v", err)
	}
}
