package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
)

// Data opens under its own keys only: another one of the right kind refuses, and changes nothing.
func TestDataOpensUnderItsOwnKeysOnly(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	surrounding := streams{Out: new(strings.Builder), Err: new(strings.Builder), In: strings.NewReader(""), Env: os.LookupEnv, Now: time.Now, Rand: rand.Reader}
	if code := run(t.Context(), []string{"init", "--dir", home, "--system", "a", "--security", "b", "--audit", "c"}, surrounding); code != exitOK {
		t.Fatalf("init: exit code %d: %s", code, surrounding.Err)
	}
	c, err := config.Load(filepath.Join(home, "heyan.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	open := func() error {
		s, err := openState(context.WithoutCancel(t.Context()), c, false, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		return s.close()
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]keyfile.Kind{
		"digest": "", "subject": keyfile.SubjectSeal, "business": keyfile.BusinessSeal, "registry": keyfile.RegistrySeal,
		"log-seal": keyfile.LogSeal, "log-sign": keyfile.LogSign,
	} {
		path := filepath.Join(home, "keys", name+".key")
		if err := os.Rename(path, path+".own"); err != nil {
			t.Fatal(err)
		}
		if kind == "" {
			err = keyfile.GenerateDigest(path, surrounding.Rand, time.Now())
		} else {
			err = keyfile.Generate(path, kind, surrounding.Rand)
		}
		if err != nil {
			t.Fatal(err)
		}
		code, status := heyan(t, "key", "status", path, "-o", "json")
		var key keyState
		if err := json.Unmarshal([]byte(status), &key); err != nil || code != exitOK || len(key.IDs) != 1 {
			t.Fatalf("%s: %v: %s", name, err, status)
		}
		member := "keys." + strings.ReplaceAll(name, "-", "_") + ": "
		if err := open(); err == nil || !strings.Contains(err.Error(), member) || !strings.Contains(err.Error(), key.IDs[0]) {
			t.Errorf("%s: another key: %v, want %q and %s", name, err, member, key.IDs[0])
		}
		if err := os.Rename(path+".own", path); err != nil {
			t.Fatal(err)
		}
		if err := open(); err != nil {
			t.Errorf("%s: put back, the data does not open: %v", name, err)
		}
	}
}
