package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/server/api"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// origins are what the store lists, by id, and which of them the log is.
func (h *home) origins() (current string, all map[string]api.OriginRow) {
	h.t.Helper()
	s, err := openState(h.t.Context(), h.Config, false, slog.New(slog.DiscardHandler))
	h.must(err)
	rows, err := store.TableOf[api.OriginRow](s.store, store.Origins).List(h.t.Context(), "", "", 0)
	h.must(err)
	all = map[string]api.OriginRow{}
	for _, row := range rows {
		all[row.ID] = row.Value
	}
	current = s.log.Origin()
	h.must(s.close())
	return current, all
}

// copied is the same deployment in another folder, as cp makes it.
func (h *home) copied() *home {
	h.t.Helper()
	other := &home{t: h.t, dir: filepath.Join(h.t.TempDir(), "copy")}
	h.must(os.CopyFS(other.dir, os.DirFS(h.dir)))
	h.must(filepath.Walk(filepath.Join(other.dir), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			err = os.Chmod(path, 0o600)
		}
		return err
	}))
	other.load()
	return other
}

// A log that was copied, rolled back or lost is not continued. The new origin's first record names the old one, its
// last known checkpoint and the cause; the store lists both; the old directory can still be proven.
func TestNewOrigin(t *testing.T) {
	for _, c := range []struct {
		cause string
		spoil func(*home) *home
		kept  bool // the old directory
	}{
		{"copied", (*home).copied, true},
		{"restored", func(h *home) *home {
			putBack := h.keep()
			h.must(h.start(nil))
			putBack()
			return h
		}, true},
		{"lost", func(h *home) *home {
			h.must(os.RemoveAll(filepath.Join(h.DataDir, "log")))
			return h
		}, false},
	} {
		t.Run(c.cause, func(t *testing.T) {
			first := newHome(t)
			first.must(first.start(nil))
			h := c.spoil(first)
			path := filepath.Join(h.dir, "heyan.yaml")
			if err := h.start(nil); err == nil || !strings.Contains(err.Error(), "heyan init --new-origin") {
				t.Fatalf("the start says %v", err)
			}
			if code, said := h.heyan("init", "--new-origin", c.cause, "--config", path); code != exitOK {
				t.Fatalf("exit code %d: %s", code, said)
			}
			h.must(h.start(nil))
			h.must(h.start(nil))
			current, all := h.origins()
			row := all[current]
			old := all[row.Predecessor]
			if len(all) != 2 || row.Cause != c.cause || old.Cause != "first-start" || old.Node != row.Node {
				t.Fatalf("%s of %+v", current, all)
			}
			h.log(func(s *state) {
				leaf, err := s.log.Get(t.Context(), 0)
				h.must(err)
				born, err := record.Parse(leaf)
				h.must(err)
				b := born.Birth
				known := tree.Checkpoint{Origin: b.Predecessor, Size: b.PredecessorSize, Root: b.PredecessorRoot}
				if born.Event != record.OriginBorn || b.Cause != c.cause || b.Predecessor != row.Predecessor ||
					!strings.HasPrefix(string(old.Checkpoint), known.Text()) {
					t.Errorf("the log begins with %+v, and the store knows\n%s", b, old.Checkpoint)
				}
			})
			aside := filepath.Join(h.DataDir, "log-"+row.Predecessor)
			code, said := h.heyan("log", "verify", "--dir", aside, "--seal-key", filepath.Join(h.dir, "keys", "log-seal.key"))
			if (code == exitOK) != c.kept {
				t.Errorf("verifying the old log: exit code %d: %s", code, said)
			}
		})
	}
}

// What was put aside is read by the server again with the line that init prints: listed by time, told as readable, and
// covering its days. A directory that is gone stops nothing, and is named.
func TestClosedLogIsRead(t *testing.T) {
	h := newHome(t)
	h.must(h.start(nil))
	path := filepath.Join(h.dir, "heyan.yaml")
	code, said := h.heyan("init", "--new-origin", "restored", "--config", path)
	line := regexp.MustCompile(`(?m)^  also: \[".*"\]$`).FindString(said)
	if code != exitOK || line == "" {
		t.Fatalf("exit code %d: %s", code, said)
	}
	text, err := os.ReadFile(path)
	h.must(err)
	h.must(os.WriteFile(path, append(text, "log:\n"+line+"\n"...), 0o600))
	h.load()
	aside := h.Config.Log.Also[0]
	ask := func(wants int, words []string, args ...string) string {
		t.Helper()
		var out string
		h.must(h.start(func(i *instance) {
			h.must(devProfiles(h.dir, i.address()))
			var text strings.Builder
			code := run(t.Context(), append(args, "--profile", "audit"), streams{In: strings.NewReader(""), Out: &text, Err: &text, Now: time.Now, Env: profilesIn(h.dir)})
			if out = text.String(); code != wants {
				t.Errorf("%q: exit code %d: %s", args, code, out)
			}
		}))
		for _, word := range words {
			if !strings.Contains(out, word) {
				t.Errorf("%q does not say %q:\n%s", args, word, out)
			}
		}
		return out
	}
	current, all := h.origins()
	before := all[current].Predecessor
	out := ask(exitOK, []string{"ORIGIN "}, "log", "list", "--event", "origin.born")
	if first, second := strings.Index(out, "\n"+before), strings.Index(out, "\n"+current); first < 0 || second < first {
		t.Errorf("not by time:\n%s", out)
	}
	ask(exitOK, []string{"origin.born"}, "log", "get", before+"/0")
	ask(exitOK, []string{"missing days   0"}, "log", "coverage")
	ask(exitOK, []string{"whole", before}, "log", "verify", "--origin", before)
	h.must(os.Rename(aside, aside+"-away"))
	ask(exitOK, []string{"log.also, directory 1: UNREADABLE"}, "log", "origins")
	ask(exitNo, []string{"missing origin  " + before}, "log", "coverage")
	ask(exitOK, []string{"not in this listing, or not wholly: " + before}, "log", "tail")
}

// While a server has the data, no other origin is begun; and none for a cause that is none.
func TestNewOriginIsRefused(t *testing.T) {
	h := newHome(t)
	path := filepath.Join(h.dir, "heyan.yaml")
	h.must(h.start(func(*instance) {
		if code, said := h.heyan("init", "--new-origin", "copied", "--config", path); code == exitOK {
			t.Errorf("begun beside a server: %s", said)
		}
	}))
	if code, said := h.heyan("init", "--new-origin", "whim", "--config", path); code != exitUsage || strings.Contains(said, "whim") {
		t.Errorf("exit code %d: %s", code, said)
	}
	before, _ := h.origins()
	h.must(h.start(nil))
	if after, all := h.origins(); after != before || len(all) != 1 {
		t.Errorf("%s of %v", after, all)
	}
}

// A log that the store has never seen is refused where the node has another one: compared with it, every answer
// would be at odds.
func TestForeignLogIsRefused(t *testing.T) {
	h := newHome(t)
	h.must(h.start(nil))
	s, err := openData(t.Context(), h.Config, false, slog.New(slog.DiscardHandler))
	h.must(err)
	h.must(os.RemoveAll(s.logDir()))
	h.must(s.openLog(t.Context(), true))
	h.must(errors.Join(s.keepPlace(t.Context()), s.close()))
	if err := h.start(nil); !errors.Is(err, server.ErrForeignLog) {
		t.Errorf("started: %v", err)
	}
	if size := h.size(); size != 1 {
		t.Errorf("%d records were written", size-1)
	}
}
