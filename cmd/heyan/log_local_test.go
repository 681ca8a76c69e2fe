package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// shelf is a folder with logs that were closed.
type shelf struct {
	t    *testing.T
	dir  string
	seal string // file of the key that its logs are sealed with
	now  time.Time
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)}
	s.seal = filepath.Join(s.dir, "seal.key")
	must(t, keyfile.Generate(s.seal, keyfile.LogSeal, rand.Reader))
	return s
}

// shelved is one log of the shelf.
type shelved struct {
	dir, origin, key string
	head             tree.Checkpoint
}

// log writes a log whose records are of some seconds after eight.
func (s *shelf) log(node string, before tree.Checkpoint, seconds ...int) shelved {
	s.t.Helper()
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	must(s.t, err)
	sealKey, err := keyfile.Read(s.seal, keyfile.LogSeal)
	must(s.t, err)
	k := shelved{dir: filepath.Join(s.dir, node)}
	log, err := netlog.Create(netlog.Options{Dir: k.dir, Node: node, Now: func() time.Time { return s.now }, SigningKey: signing, SealKey: sealKey, Predecessor: before}, "restored")
	must(s.t, err)
	for _, second := range seconds {
		leaf, err := record.Append(nil, &record.Record{Time: s.now.Add(time.Duration(second) * time.Second), Event: record.VerificationVerify,
			Actor: record.Actor{Kind: record.ActorClient, ID: "acme"}, Outcome: record.Outcome{Kind: record.Success}})
		must(s.t, err)
		ticket, err := log.Append(leaf)
		must(s.t, err)
		must(s.t, ticket.Wait(s.t.Context()))
	}
	k.origin, k.key = log.Origin(), log.Key()
	verifier, err := tree.NewVerifier(k.key)
	must(s.t, err)
	k.head, err = verifier.Open(log.Checkpoint())
	must(s.t, err)
	must(s.t, log.Close())
	return k
}

// heyan runs a command line on the shelf.
func (s *shelf) heyan(wants int, args ...string) (out, said string) {
	s.t.Helper()
	var written, complaint strings.Builder
	code := run(s.t.Context(), args, streams{In: strings.NewReader(""), Out: &written, Err: &complaint,
		Env: func(string) (string, bool) { return "", false }, Now: func() time.Time { return s.now.Add(time.Hour) }})
	if code != wants {
		s.t.Errorf("%q: exit code %d, want %d:\n%s%s", args, code, wants, written.String(), complaint.String())
	}
	return written.String(), complaint.String()
}

// order lists the rows of a listing of several logs, "a0 b0 a1".
func order(out string) string {
	var places []string
	for _, m := range regexp.MustCompile(`(?m)^(\w)-\w+ +(\d+) `).FindAllStringSubmatch(out, -1) {
		places = append(places, m[1]+m[2])
	}
	return strings.Join(places, " ")
}

func (s *shelf) says(text string, words ...string) {
	s.t.Helper()
	for _, word := range words {
		if !regexp.MustCompile(word).MatchString(text) {
			s.t.Errorf("no %q in:\n%s", word, text)
		}
	}
}

// Logs that lie here are listed by time, and what cannot be read is named beside.
func TestListLocalLogs(t *testing.T) {
	s := newShelf(t)
	a := s.log("a", tree.Checkpoint{}, 1, 5)
	b := s.log("b", a.head, 3, 9)
	out, said := s.heyan(exitOK, "log", "list", a.dir, b.dir, "--seal-key", s.seal)
	if got := order(out); got != "a0 b0 a1 b1 a2 b2" {
		t.Errorf("listed %s:\n%s", got, out)
	}
	s.says(said, "6 records of 2 logs; what they show is not proven")
	out, _ = s.heyan(exitOK, "log", "list", b.dir, a.dir, "--seal-key", s.seal, "--event", "verification.*", "--limit", "3")
	if got := order(out); got != "a1 b1 a2" {
		t.Errorf("filtered: %s", got)
	}
	out, _ = s.heyan(exitOK, "log", "list", b.dir, a.dir, "--seal-key", s.seal, "--origin", b.origin, "--start-index", "2", "-o", "json")
	s.says(out, `"origin":"`+b.origin+`","index":2`, `\{"count":1,`)
	// A copy is said, and shown once.
	copied := filepath.Join(s.dir, "copied")
	must(t, os.CopyFS(copied, os.DirFS(a.dir)))
	out, said = s.heyan(exitOK, "log", "list", a.dir, b.dir, copied, "--seal-key", s.seal)
	if got := order(out); got != "a0 b0 a1 b1 a2 b2" {
		t.Errorf("with a copy: %s", got)
	}
	s.says(said, "copied is of the same log as .*: each record is shown once")
	// What cannot be read is named; the rest is listed.
	out, said = s.heyan(exitNo, "log", "list", a.dir, filepath.Join(s.dir, "gone"), b.dir, "--seal-key", s.seal)
	if got := order(out); got != "a0 b0 a1 b1 a2 b2" {
		t.Errorf("with a missing one: %s", got)
	}
	s.says(said, "gone cannot be read")
	_, said = s.heyan(exitNo, "log", "list", a.dir)
	s.says(said, "a cannot be read, or not to its end: .*seal key")
	damage(t, copied)
	out, said = s.heyan(exitNo, "log", "list", copied, b.dir, "--seal-key", s.seal)
	s.says(said, "copied cannot be read, or not to its end")
	s.says(order(out), "^a0 b0 .*b1 b2$")
	s.heyan(exitUsage, "log", "list", a.dir, "--save", filepath.Join(s.dir, "x"))
	s.heyan(exitUsage, "log", "list", "--seal-key", s.seal)
	s.heyan(exitUsage, "log", "list", a.dir, "--seal-key", s.seal, "--event", "no.such_event")
	s.heyan(exitUsage, "log", "list", a.dir, b.dir, "--seal-key", s.seal, "--start-index", "1")

	out, _ = s.heyan(exitOK, "log", "get", b.origin+"/0", a.dir, b.dir, "--seal-key", s.seal)
	s.says(out, `birth.predecessor +`+a.origin)
	s.heyan(exitNo, "log", "get", b.origin+"/99", b.dir, "--seal-key", s.seal)
	s.heyan(exitNo, "log", "get", b.origin+"/0", a.dir, "--seal-key", s.seal)
}

// damage changes a byte in the middle of a log: the last batch would be taken for a torn tail.
func damage(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "wal", "*.wal"))
	must(t, err)
	content, err := os.ReadFile(files[0])
	must(t, err)
	end := len(strings.TrimRight(string(content), "\x00"))
	content[end/2] ^= 1
	must(t, os.WriteFile(files[0], content, 0o600))
}

func TestCoverageOfLocalLogs(t *testing.T) {
	s := newShelf(t)
	a := s.log("a", tree.Checkpoint{}, 1)
	s.now = s.now.Add(72 * time.Hour)
	b := s.log("b", a.head, 3)
	out, _ := s.heyan(exitNo, "log", "coverage", a.dir, b.dir, "--seal-key", s.seal)
	s.says(out, a.origin+" +0 to 2 +2 .*log directory", `required from +2026-11-22`, `missing days +2`, `gap +2026-11-22.* to 2026-11-25.*before `+b.origin)
	out, _ = s.heyan(exitNo, "log", "coverage", b.dir, filepath.Join(s.dir, "gone"), "--seal-key", s.seal)
	s.says(out, `missing days +0`, `not given +`+a.origin, `cannot be read +.*gone`)
	s.heyan(exitOK, "log", "coverage", a.dir, "--seal-key", s.seal, "-o", "json")
}

// Several are verified each by itself, and held against what they say of each other.
func TestVerifySeveralLogs(t *testing.T) {
	s := newShelf(t)
	a := s.log("a", tree.Checkpoint{}, 1, 2)
	b := s.log("b", a.head, 3)
	keys := []string{"--key", a.key, "--key", b.key, "--seal-key", s.seal}
	verify := func(wants int, paths ...string) string {
		t.Helper()
		out, said := s.heyan(wants, append(append([]string{"log", "verify"}, paths...), keys...)...)
		return out + said
	}
	s.says(verify(exitOK, b.dir, a.dir), `all +2 paths, whole`, b.origin+` +`+a.origin+` +3 +agrees`)
	c := s.log("c", tree.Checkpoint{Origin: a.origin, Size: 2, Root: tree.Hash{1}}, 3)
	s.says(verify(exitNo, c.dir, a.dir), `NOT WHOLE`, c.origin+` .* TAMPERED +the one before had another history`)
	d := s.log("d", tree.Checkpoint{Origin: a.origin, Size: 9, Root: tree.Hash{1}}, 3)
	s.says(verify(exitNo, d.dir, a.dir), `MISSING +9 records of it were known, and 3 are here`)
	s.says(verify(exitOK, b.dir, c.dir), `not given`)
	s.says(verify(exitNo, b.dir, filepath.Join(s.dir, "gone")), `gone cannot be read`, `not whole +.*gone`)
	copied := filepath.Join(s.dir, "copied")
	must(t, os.CopyFS(copied, os.DirFS(a.dir)))
	s.says(verify(exitOK, a.dir, copied), a.origin+` +`+a.origin+` +3 +agrees`)
	damage(t, copied)
	s.says(verify(exitNo, a.dir, copied), `not whole +.*copied`)
	out, _ := s.heyan(exitOK, append([]string{"log", "verify", a.dir, b.dir, "-o", "json"}, keys...)...)
	s.says(out, `"whole": true,\s+"paths": 2`, `"answer": "agrees"`)
	s.heyan(exitUsage, "log", "verify", a.dir, "--key", a.key, "--key", b.key)
	s.heyan(exitUsage, "log", "verify", a.dir, b.dir, "--dir", a.dir)
}
