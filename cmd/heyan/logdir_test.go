package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// A sealed log directory is proven without a server; a byte changed anywhere in its files of records is found.
func TestVerifyDirectory(t *testing.T) {
	base := t.TempDir()
	dir, sealFile, noteFile := filepath.Join(base, "log"), filepath.Join(base, "seal.key"), filepath.Join(base, "note")
	if err := keyfile.Generate(sealFile, keyfile.LogSeal, rand.Reader); err != nil {
		t.Fatal(err)
	}
	seal, err := keyfile.Read(sealFile, keyfile.LogSeal)
	if err != nil {
		t.Fatal(err)
	}
	key, note := writeLog(t, dir, seal)
	if err := os.WriteFile(noteFile, note, 0o600); err != nil {
		t.Fatal(err)
	}
	verify := func(args ...string) (int, string) {
		var out, complaint strings.Builder
		s := streams{In: strings.NewReader(""), Out: &out, Err: &complaint, Env: func(string) (string, bool) { return "", false }, Now: time.Now}
		code := run(t.Context(), append([]string{"log", "verify", "--dir", dir}, args...), s)
		return code, out.String() + complaint.String()
	}
	code, text := verify("--key", key, "--seal-key", sealFile, "--checkpoint", noteFile)
	if code != exitOK || !strings.Contains(text, "1 of 1 outside checkpoint") {
		t.Errorf("whole log: exit code %d\n%s", code, text)
	}
	if code, text := verify("--seal-key", sealFile); code != exitOK || !strings.Contains(text, "safer place") {
		t.Errorf("with the directory's own key: exit code %d\n%s", code, text)
	}
	if code, text := verify("--key", otherKey(t)); code == exitOK {
		t.Errorf("with another key: exit code %d\n%s", code, text)
	}
	files, err := filepath.Glob(filepath.Join(dir, "wal", "*.wal"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files %v, %v", files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(files[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	code, text = verify("--key", key, "--seal-key", sealFile, "--checkpoint", noteFile)
	if code != exitNo || !strings.Contains(text, "NOT WHOLE") {
		t.Errorf("a changed byte: exit code %d\n%s", code, text)
	}
}

// writeLog makes a log of a few records and returns its verifier key and last checkpoint.
func writeLog(t *testing.T, dir string, seal []byte) (key string, note []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	log, err := netlog.Create(netlog.Options{Dir: dir, Node: "node1", Now: time.Now, SigningKey: private, SealKey: seal}, "init")
	if err != nil {
		t.Fatal(err)
	}
	event, _ := record.ParseEvent("verification.verify")
	for range 20 {
		leaf, err := record.Append(nil, &record.Record{Time: time.Now(), Event: event, Outcome: record.Outcome{Kind: record.Success}})
		if err != nil {
			t.Fatal(err)
		}
		ticket, err := log.Append(leaf)
		if err != nil {
			t.Fatal(err)
		}
		if err := ticket.Wait(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	key, note = log.Key(), log.Checkpoint()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return key, note
}

func otherKey(t *testing.T) string {
	t.Helper()
	other, err := newFakeLog()
	if err != nil {
		t.Fatal(err)
	}
	return other.signer.Key()
}
