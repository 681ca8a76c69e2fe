package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/server/api"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// home is the folder of a server that is started and stopped within the test.
type home struct {
	t   *testing.T
	dir string
	*config.Config
}

func newHome(t *testing.T) *home {
	t.Helper()
	_, dir := laid(t)
	h := &home{t: t, dir: dir}
	h.load()
	return h
}

func (h *home) load() {
	h.t.Helper()
	var err error
	h.Config, err = config.Load(filepath.Join(h.dir, "heyan.yaml"))
	h.must(err)
}

func (h *home) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// heyan runs a command line.
func (h *home) heyan(args ...string) (code int, said string) {
	var out bytes.Buffer
	code = run(h.t.Context(), args, streams{Out: &out, Err: &out, In: strings.NewReader(""), Env: os.LookupEnv, Now: time.Now, Rand: rand.Reader})
	return code, out.String()
}

// start starts the server and stops it again; between runs while it serves.
func (h *home) start(between func(*instance)) error {
	s, err := openState(h.t.Context(), h.Config, false, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	i, err := startInstance(h.t.Context(), s, os.LookupEnv)
	if err != nil {
		return errors.Join(err, s.close())
	}
	if between != nil {
		between(i)
	}
	return i.stop(context.WithoutCancel(h.t.Context()))
}

// log opens the log as it lies there, without a server, and closes it again.
func (h *home) log(within func(*state)) {
	h.t.Helper()
	s := &state{config: h.Config, logger: slog.New(slog.DiscardHandler), now: time.Now}
	h.must(s.openLog(h.t.Context(), false))
	within(s)
	h.must(s.close())
}

// events are those of the log's newest records.
func (h *home) events(n int) (newest []string) {
	h.t.Helper()
	h.log(func(s *state) {
		size := s.log.Size()
		h.must(s.log.Read(h.t.Context(), size-uint64(n), size, func(_ uint64, leaf []byte) error {
			r, err := record.Parse(leaf)
			newest = append(newest, r.Event.String())
			return err
		}))
	})
	return newest
}

func (h *home) size() (size uint64) {
	h.t.Helper()
	h.log(func(s *state) { size = s.log.Size() })
	return size
}

// keep copies the log's files of records, and returns what puts them back in their place.
func (h *home) keep() (putBack func()) {
	h.t.Helper()
	wal, older := filepath.Join(h.DataDir, "log", "wal"), filepath.Join(h.t.TempDir(), "wal")
	h.must(os.CopyFS(older, os.DirFS(wal)))
	return func() {
		h.t.Helper()
		h.must(os.RemoveAll(wal))
		h.must(os.CopyFS(wal, os.DirFS(older)))
	}
}

// A log that was cut or rolled back behind the store's back is refused before anything is written to it, and so is
// one that was written on since.
func TestRolledBackLogIsRefused(t *testing.T) {
	h := newHome(t)
	h.must(h.start(nil))
	putBack := h.keep()
	older := h.size()
	h.must(h.start(nil))
	putBack()
	for _, then := range []struct {
		name string
		do   func(*state)
	}{
		{"cut", func(*state) {}},
		{"cut and written on", func(s *state) {
			for s.log.Size() < 2*older+20 {
				_, err := s.offlineJournal().System(record.SystemHeartbeat, nil)
				h.must(err)
			}
		}},
	} {
		h.log(then.do)
		before := h.size()
		err := h.start(nil)
		if !errors.Is(err, server.ErrForeignLog) || !strings.Contains(err.Error(), "--new-origin") {
			t.Errorf("%s: started with %d records: %v", then.name, before, err)
		}
		if after := h.size(); after != before {
			t.Errorf("%s: the refused start wrote %d records", then.name, after-before)
		}
	}
}

// The store knows the newest checkpoint while a server runs, and after it stopped.
func TestStoreKeepsTheCheckpoint(t *testing.T) {
	h := newHome(t)
	stored := func(s *state) (row api.OriginRow) {
		t.Helper()
		got, err := store.TableOf[api.OriginRow](s.store, store.Origins).Get(t.Context(), s.log.Origin())
		h.must(err)
		return got.Value
	}
	var running api.OriginRow
	h.must(h.start(func(i *instance) { running = stored(i.state) }))
	if len(running.Checkpoint) == 0 || running.Node != "dev" || running.Cause != "first-start" || running.FirstTime.IsZero() {
		t.Errorf("while it runs: %+v", running)
	}
	s, err := openState(t.Context(), h.Config, false, slog.New(slog.DiscardHandler))
	h.must(err)
	if row := stored(s); !bytes.Equal(row.Checkpoint, s.log.Checkpoint()) {
		t.Errorf("after the stop the store has\n%s\nand the log\n%s", row.Checkpoint, s.log.Checkpoint())
	}
	h.must(s.close())
}

// A refused configuration does not hide the crash before it.
func TestRefusedConfigurationRecordsACrashFirst(t *testing.T) {
	h := newHome(t)
	h.must(h.start(nil))
	path := filepath.Join(h.dir, "heyan.yaml")
	good, err := os.ReadFile(path)
	h.must(err)
	refuse := func() {
		t.Helper()
		h.must(os.WriteFile(path, append(slices.Clip(good), "no_such_member: 1\n"...), 0o600))
		if code, said := h.heyan("serve", "--config", path); code != exitUsage {
			t.Fatalf("exit code %d: %s", code, said)
		}
		h.must(os.WriteFile(path, good, 0o600))
	}
	for _, c := range []struct {
		name  string
		crash func(*state)
		tail  string
		want  []string
	}{
		{"clean", func(*state) {}, "", []string{"system.stopped", "config.refused"}},
		{"unclean", func(s *state) {
			_, err := s.offlineJournal().System(record.SystemStarted, nil)
			h.must(err)
		}, "", []string{"system.started", "system.recovered", "config.refused"}},
		{"torn", func(*state) {}, "torn", []string{"system.recovered", "config.refused"}},
		{"again", func(*state) {}, "", []string{"config.refused", "config.refused"}},
	} {
		h.log(c.crash)
		h.tear(c.tail)
		refuse()
		if got := h.events(len(c.want)); !slices.Equal(got, c.want) {
			t.Errorf("%s: the log ends with %q, want %q", c.name, got, c.want)
		}
	}
	before := h.size()
	h.must(h.start(nil))
	if got := h.events(int(h.size() - before)); slices.Contains(got, "system.recovered") {
		t.Errorf("the crash is recorded again: %q", got)
	}
}

// tear appends bytes to the log's newest file, as a write that a crash cut short.
func (h *home) tear(tail string) {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.DataDir, "log", "wal", "*.wal"))
	h.must(err)
	f, err := os.OpenFile(slices.Max(files), os.O_WRONLY|os.O_APPEND, 0)
	h.must(err)
	_, err = f.WriteString(tail)
	h.must(errors.Join(err, f.Close()))
}

// What says which digest key the data belongs to is written once, at the first start; where it is gone, nothing is
// served under a key that may be another one, however often a start is tried.
func TestMissingSuiteIsNotWrittenAnew(t *testing.T) {
	h := newHome(t)
	h.must(os.RemoveAll(filepath.Join(h.DataDir, "store")))
	empty := &state{config: h.Config, logger: slog.New(slog.DiscardHandler), now: time.Now}
	h.must(empty.openStore(true))
	h.must(empty.close())
	before := h.size()
	for range 2 {
		if err := h.start(nil); err == nil || !strings.Contains(err.Error(), "digest key") {
			t.Errorf("started without knowing the digest key of the data: %v", err)
		}
	}
	if after := h.size(); after != before {
		t.Errorf("%d records were written", after-before)
	}
}

// TestRefusedKeyIsRecorded: a key file that others may read refuses to start, and the log says which.
func TestRefusedKeyIsRecorded(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	h := newHome(t)
	h.must(h.start(nil))
	for member, name := range map[string]string{"keys.subject": "keys/subject.key", "tls.key": "certs/server.key"} {
		key := filepath.Join(h.dir, filepath.FromSlash(name))
		h.must(os.Chmod(key, 0o644))
		if code, said := h.heyan("serve", "--config", filepath.Join(h.dir, "heyan.yaml")); code != exitUsage || !strings.Contains(said, "chmod 600") {
			t.Fatalf("%s: exit code %d: %s", member, code, said)
		}
		var last record.Record
		h.log(func(s *state) {
			leaf, err := s.log.Get(t.Context(), s.log.Size()-1)
			h.must(err)
			last, err = record.Parse(leaf)
			h.must(err)
		})
		if last.Event != record.ConfigRefused || last.Change == nil || last.Change.Diff != "refused="+member {
			t.Errorf("%s: the log ends with %v %+v", member, last.Event, last.Change)
		}
		h.must(os.Chmod(key, 0o600))
	}
	h.must(h.start(nil))
}
