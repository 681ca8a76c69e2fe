package main

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// config check reads what a start would read, and says all of it at once.
func TestConfigCheckReadsFiles(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	heyan := func(args ...string) (code int, said string) {
		var out bytes.Buffer
		code = run(t.Context(), args, streams{Out: &out, Err: &out, In: strings.NewReader(""), Env: os.LookupEnv, Now: time.Now, Rand: rand.Reader})
		return code, out.String()
	}
	if code, said := heyan("init", "--dir", home, "--system", "a", "--security", "b", "--audit", "c"); code != exitOK {
		t.Fatal(said)
	}
	path := filepath.Join(home, "heyan.yaml")
	if code, said := heyan("config", "check", path); code != exitOK || !strings.Contains(said, "10 products") {
		t.Fatalf("exit code %d: %s", code, said)
	}
	for _, name := range []string{"keys/digest.key", "certs/server.pem"} {
		if err := os.Remove(filepath.Join(home, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(home, "keys/subject.key"), filepath.Join(home, "keys/registry.key")); err != nil {
		t.Fatal(err)
	}
	code, said := heyan("config", "check", path)
	for _, want := range []string{"digest.key", "subject.key", "registry.key", "server.pem"} {
		if code != exitUsage || !strings.Contains(said, want) {
			t.Errorf("exit code %d, and nothing of %s in: %s", code, want, said)
		}
	}
}
