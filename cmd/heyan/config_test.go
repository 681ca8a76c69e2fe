package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
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

// A key of the right kind that is not the data's own is found without a start, and named by its member; so is a data
// directory that holds nothing.
func TestConfigCheckComparesKeysWithData(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	initialise(t, home)
	path := filepath.Join(home, "heyan.yaml")
	for member, name := range map[string]string{
		"keys.subject": "subject", "keys.business": "business", "keys.registry": "registry", "keys.log_seal": "log-seal", "keys.log_sign": "log-sign",
	} {
		key := filepath.Join(home, "keys", name+".key")
		if err := os.Rename(key, key+".own"); err != nil {
			t.Fatal(err)
		}
		if code, said := heyan(t, "key", "generate", key); code != exitOK {
			t.Fatal(said)
		}
		code, said := heyan(t, "config", "check", path)
		if code != exitUsage || !strings.Contains(said, "1 thing to put right") || !strings.Contains(said, "  "+member+": ") {
			t.Errorf("%s: exit code %d: %s", member, code, said)
		}
		if err := os.Rename(key+".own", key); err != nil {
			t.Fatal(err)
		}
	}
	if code, said := heyan(t, "config", "check", path); code != exitOK {
		t.Errorf("with its own keys: %s", said)
	}
	if err := os.Rename(filepath.Join(home, "data"), filepath.Join(home, "old")); err != nil {
		t.Fatal(err)
	}
	code, said := heyan(t, "config", "check", path)
	if code != exitUsage || !strings.Contains(said, "no store") || !strings.Contains(said, "no network log") {
		t.Errorf("without data: exit code %d: %s", code, said)
	}
	if _, err := os.Lstat(filepath.Join(home, "data")); err == nil {
		t.Error("the check made a data directory")
	}
}

// Members, keys, certificates and listeners are all told of at once, whatever else is wrong.
func TestConfigCheckSaysEverything(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	initialise(t, home)
	path := filepath.Join(home, "heyan.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "node: \"node1\"", "node: \"X\"", 1) + "lissten: x\nlimits: {drain: 20 seconds}\n"
	changed = strings.Replace(changed, "127.0.0.1:9090", "0.0.0.0:9443", 1)
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"keys/digest.key", "certs/server.pem"} {
		if err := os.Remove(filepath.Join(home, name)); err != nil {
			t.Fatal(err)
		}
	}
	code, said := heyan(t, "config", "check", path, "-o", "json")
	var report configReport
	if err := json.Unmarshal([]byte(said), &report); err != nil || code != exitUsage || report.Well {
		t.Fatalf("exit code %d, %v: %s", code, err, said)
	}
	all := strings.Join(report.Wrong, "\n")
	for _, want := range []string{"did you mean listen?", "a duration with its unit", "node:", "status_listen:", "digest.key", "server.pem"} {
		if strings.Count(all, want) != 1 {
			t.Errorf("%q is not said once: %s", want, all)
		}
	}
	if len(report.Wrong) != 6 {
		t.Errorf("%d things: %s", len(report.Wrong), all)
	}
	if code, said := heyan(t, "config", "check", path+".absent"); code != exitUsage || !strings.Contains(said, "heyan init") {
		t.Errorf("no file: exit code %d: %s", code, said)
	}
}
