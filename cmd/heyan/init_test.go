package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// heyan runs one command line and returns its exit code and all that it says.
func heyan(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	code = run(t.Context(), args, streams{Out: &out, Err: &out, In: strings.NewReader(""), Env: os.LookupEnv, Now: time.Now, Rand: rand.Reader})
	return code, out.String()
}

// initialise lays out a folder.
func initialise(t *testing.T, home string, more ...string) (said string) {
	t.Helper()
	args := append([]string{"init", "--dir", home, "--system", "a", "--security", "b", "--audit", "c"}, more...)
	code, said := heyan(t, args...)
	if code != exitOK {
		t.Fatal(said)
	}
	return said
}

// A first start that fails leaves nothing, so that the next one can succeed.
func TestInitLeavesNothingHalfMade(t *testing.T) {
	for flag, c := range map[string]struct{ value, says string }{
		"--region":        {"hongkong", "--region: a region in mainland China"},
		"--listen":        {"9443", "--listen: wants host:port"},
		"--status-listen": {"0.0.0.0:9443", "--status-listen: the same address"},
		"--node":          {"Node 1", "--node: 1 to 64"},
		"--host":          {"https://x.example", "--host"},
		"--system":        {"server", "no people"},
		"--audit":         {"b", "three different people"},
	} {
		t.Run(flag, func(t *testing.T) {
			home := filepath.Join(t.TempDir(), "new", "home")
			code, said := heyan(t, "init", "--dir", home, "--system", "a", "--security", "b", "--audit", "c", flag, c.value)
			if code != exitUsage || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d: %s", code, said)
			}
			if _, err := os.Lstat(filepath.Dir(home)); !os.IsNotExist(err) {
				t.Errorf("something was made: %v", err)
			}
			initialise(t, home)
		})
	}
	t.Run("all at once", func(t *testing.T) {
		_, said := heyan(t, "init", "--dir", filepath.Join(t.TempDir(), "h"), "--system", "a", "--security", "b", "--audit", "c", "--region", "us", "--node", "X", "--listen", "9")
		for _, want := range []string{"--region", "--node", "--listen"} {
			if !strings.Contains(said, want) {
				t.Errorf("nothing of %s: %s", want, said)
			}
		}
	})
}

// What was there before stays, whatever fails after.
func TestInitRemovesOnlyWhatItMade(t *testing.T) {
	home := t.TempDir()
	note := filepath.Join(home, "note")
	if err := os.WriteFile(note, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"keys", "data"} {
		if err := os.Mkdir(filepath.Join(home, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// Everything is right until the profiles are written: a source of chance that ends while certificates are made.
	var out bytes.Buffer
	code := run(t.Context(), []string{"init", "--dir", home, "--system", "a", "--security", "b", "--audit", "c"}, streams{
		Out: &out, Err: &out, In: strings.NewReader(""), Env: os.LookupEnv, Now: time.Now, Rand: bytes.NewReader(make([]byte, 33*6))})
	if code == exitOK {
		t.Fatal("laid out without chance")
	}
	var left []string
	err := filepath.WalkDir(home, func(path string, _ os.DirEntry, err error) error {
		left = append(left, strings.TrimPrefix(path, home))
		return err
	})
	if err != nil || strings.Join(left, " ") != " /data /keys /note" {
		t.Errorf("left: %q, %v", left, err)
	}
	initialise(t, home)
	if code, said := heyan(t, "init", "--dir", home, "--system", "a", "--security", "b", "--audit", "c"); code == exitOK || !strings.Contains(said, "already") {
		t.Errorf("a second time: exit code %d: %s", code, said)
	}
	if err := os.Remove(filepath.Join(home, "heyan.yaml")); err != nil {
		t.Fatal(err)
	}
	if code, said := heyan(t, "init", "--dir", home, "--system", "a", "--security", "b", "--audit", "c"); code == exitOK || !strings.Contains(said, "already") {
		t.Errorf("over keys: exit code %d: %s", code, said)
	}
	if _, err := os.Stat(filepath.Join(home, "keys", "digest.key")); err != nil {
		t.Errorf("keys of before: %v", err)
	}
}

// A first start tells the log's verifier key, which a verification takes as it stands, and what people need.
func TestInitSays(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	said := initialise(t, home, "--host", "verify.example.cn", "--listen", "[::]:9443")
	key := regexp.MustCompile(`(?m)^ +(node1-[0-9a-f]+\+[0-9a-f]{8}\+\S+)$`).FindStringSubmatch(said)
	if key == nil {
		t.Fatalf("no verifier key in: %s", said)
	}
	verifier, err := tree.NewVerifier(key[1])
	if err != nil {
		t.Fatal(err)
	}
	sealKey, err := keyfile.Read(filepath.Join(home, "keys", "log-seal.key"), keyfile.LogSeal)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := netlog.OpenReader(netlog.ReaderOptions{Dir: filepath.Join(home, "data", "log"), Key: verifier.Key(), SealKey: sealKey})
	if err != nil {
		t.Fatalf("the log does not open under the key that was told: %v", err)
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"rite this down", "profiles.yaml", "certs/ca.pem", "certs/NAME.pem", "certs/NAME.key", "dataset import", "dataset activate"} {
		if !strings.Contains(said, want) {
			t.Errorf("says nothing of %s", want)
		}
	}
	if code, status := heyan(t, "key", "status", filepath.Join(home, "keys", "log-sign.key"), "--origin", verifier.Origin()); code != exitOK || !strings.Contains(status, key[1]) {
		t.Errorf("key status: exit code %d: %s", code, status)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(home, "certs", "server.pem"), filepath.Join(home, "certs", "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"verify.example.cn", "localhost", "127.0.0.1", "::1"} {
		if err := pair.Leaf.VerifyHostname(name); err != nil {
			t.Errorf("the server's certificate: %v", err)
		}
	}
	file, err := profile.Load(filepath.Join(home, profile.FileName))
	if err != nil || file.Profiles["a"].Address != "verify.example.cn:9443" {
		t.Errorf("%+v, %v", file, err)
	}
}
