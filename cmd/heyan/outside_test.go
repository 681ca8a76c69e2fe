package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/outside"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// keeper is an HTTPS endpoint that keeps the newest note, and a syslog receiver beside it.
type keeper struct {
	*httptest.Server
	ca   string // path
	mu   sync.Mutex
	note []byte
	logs net.Listener
	seen chan string // messages
}

func newKeeper(t *testing.T) *keeper {
	t.Helper()
	k := &keeper{seen: make(chan string, 64)}
	k.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		k.mu.Lock()
		defer k.mu.Unlock()
		if r.Method == http.MethodPost {
			k.note = body
			return
		}
		_, _ = w.Write(k.note)
	}))
	t.Cleanup(k.Close)
	k.ca = filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(k.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.Certificate().Raw}), 0o600))
	var err error
	k.logs, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: k.TLS.Certificates})
	must(t, err)
	t.Cleanup(func() { _ = k.logs.Close() })
	go k.receive()
	return k
}

func (k *keeper) receive() {
	for {
		conn, err := k.logs.Accept()
		if err != nil {
			return
		}
		in := bufio.NewReader(conn)
		var n int
		if _, err := fmt.Fscanf(in, "%d ", &n); err == nil {
			message := make([]byte, n)
			if _, err := io.ReadFull(in, message); err == nil {
				k.seen <- string(message)
			}
		}
		_ = conn.Close()
	}
}

// sendTo adds targets to the configuration file, and loads it.
func (h *home) sendTo(lines ...string) {
	h.t.Helper()
	path := filepath.Join(h.dir, "heyan.yaml")
	text, err := os.ReadFile(path)
	h.must(err)
	if i := bytes.Index(text, []byte("\nlog:")); i >= 0 {
		text = text[:i+1]
	}
	text = append(text, "log: {checkpoints_every: 1s, checkpoints_to: [\""+strings.Join(lines, `", "`)+"\"]}\n"...)
	h.must(os.WriteFile(path, text, 0o600))
	h.load()
}

// rollBack keeps log and store, and returns what puts both back: nothing that lies here can then tell.
func (h *home) rollBack() (putBack func()) {
	log, store := h.keep(), keepStore(h.t, h.DataDir)
	return func() { log(); store() }
}

// Log and store that were put back together are refused by each target that can be read, and nothing is written. Without
// one such a start succeeds, and is found by the next one that can ask.
func TestRollbackBehindACheckpointIsRefused(t *testing.T) {
	k := newKeeper(t)
	for kind, line := range map[string]string{
		"file": "file://" + filepath.Join(t.TempDir(), "heyan.checkpoints"),
		"http": k.URL + "/keep/hidden?ca=" + k.ca,
	} {
		t.Run(kind, func(t *testing.T) {
			h := newHome(t)
			h.sendTo(line)
			h.must(h.start(nil))
			putBack := h.rollBack()
			older := h.size()
			h.must(h.start(nil))
			newer := h.size()
			putBack()
			refused := func(reason outside.Reason) *outside.RefusedError {
				t.Helper()
				before := h.size()
				err := h.start(nil)
				var r *outside.RefusedError
				if !errors.As(err, &r) || r.Reason != reason || r.There != newer || r.Here != before || r.Target != "target 1 ("+kind+")" {
					t.Fatalf("%d records here, %d there: %v", before, newer, err)
				}
				if after := h.size(); after != before {
					t.Errorf("%d records were written", after-before)
				}
				return r
			}
			if r := refused(outside.Behind); r.Here != older {
				t.Errorf("%+v", r)
			}
			h.serveRefused()
			h.log(func(s *state) {
				for s.log.Size() < newer { // to the very size
					_, err := s.offlineJournal().System(record.ConfigRefused, nil)
					h.must(err)
				}
			})
			refused(outside.Forked)
			h.Log.CheckpointsTo = nil
			h.must(h.start(nil)) // nobody asks
			h.load()
			refused(outside.Forked)
		})
	}
}

// serveRefused wants the command to say what is wrong, with what can be done, and no address. A configuration that is
// refused too leaves no record in such a log.
func (h *home) serveRefused() {
	h.t.Helper()
	path := filepath.Join(h.dir, "heyan.yaml")
	good, err := os.ReadFile(path)
	h.must(err)
	before := h.size()
	h.must(os.WriteFile(path, append([]byte("no_such_member: 1\n"), good...), 0o600))
	if code, said := h.heyan("serve", "--config", path); code != exitUsage || h.size() != before {
		h.t.Errorf("exit code %d, %d records more: %s", code, h.size()-before, said)
	}
	h.must(os.WriteFile(path, good, 0o600))
	code, said := h.heyan("serve", "--config", path)
	if code != exitUsage || !strings.Contains(said, "older than its checkpoint elsewhere") || strings.Contains(said, "hidden") ||
		!strings.Contains(said, "heyan init --new-origin restored --config "+path) {
		h.t.Errorf("exit code %d: %s", code, said)
	}
}

// The way out: a new origin, whose first record says how far the old one was known to have been, which nothing here does.
func TestNewOriginAfterARollback(t *testing.T) {
	file := filepath.Join(t.TempDir(), "heyan.checkpoints")
	h := newHome(t)
	h.sendTo("file://" + file)
	h.must(h.start(nil))
	putBack := h.rollBack()
	older := h.size()
	h.must(h.start(nil))
	newer := h.size()
	whole := filepath.Join(t.TempDir(), "log")
	h.must(os.CopyFS(whole, os.DirFS(filepath.Join(h.DataDir, "log"))))
	putBack()
	old, _ := h.originAnd(0)
	path, seal := filepath.Join(h.dir, "heyan.yaml"), filepath.Join(h.dir, "keys", "log-seal.key")
	if code, said := h.heyan("init", "--new-origin", "restored", "--config", path); code != exitOK || !strings.Contains(said, fmt.Sprintf("of which %d records are known", newer)) {
		t.Fatalf("exit code %d: %s", code, said)
	}
	current, born := h.originAnd(0)
	if b := born.Birth; b == nil || b.Predecessor != old || b.PredecessorSize != newer || b.Cause != "restored" {
		t.Errorf("the log begins with %+v", born.Birth)
	}
	h.must(h.start(nil))
	h.must(h.start(nil))
	text, err := os.ReadFile(file)
	h.must(err)
	if n := bytes.Count(text, []byte("\n"+current+"\n")); n < 2 {
		t.Errorf("%d checkpoints of the new origin", n)
	}
	// The same file proves the log that was, and shows what is missing of the one that was put back.
	code, said := h.heyan("log", "verify", "--dir", whole, "--seal-key", seal, "--checkpoint", file)
	if anchored := regexp.MustCompile(`anchored +([0-9]+) of ([0-9]+) outside checkpoints`).FindStringSubmatch(said); code != exitOK || anchored == nil ||
		anchored[1] != anchored[2] || !strings.Contains(said, "of other logs left out") {
		t.Errorf("exit code %d: %s", code, said)
	}
	aside := filepath.Join(h.DataDir, "log-"+old)
	if code, said := h.heyan("log", "verify", "--dir", aside, "--seal-key", seal, "--checkpoint", file); code != exitNo ||
		strings.Count(said, "MISSING") != 1 || !strings.Contains(said, fmt.Sprint(older)) {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// originAnd is the log's origin and one of its records.
func (h *home) originAnd(index uint64) (origin string, r record.Record) {
	h.t.Helper()
	h.log(func(s *state) {
		leaf, err := s.log.Get(h.t.Context(), index)
		h.must(err)
		r, err = record.Parse(leaf)
		h.must(err)
		origin = s.log.Origin()
	})
	return origin, r
}

// A target that is down is said, counted and no reason not to serve; the others have the checkpoint of the stop.
func TestTargetsWhileServing(t *testing.T) {
	k := newKeeper(t)
	file := filepath.Join(t.TempDir(), "heyan.checkpoints")
	h := newHome(t)
	h.sendTo("file://"+file, "syslog+tls://"+k.logs.Addr().String()+"?ca="+k.ca, k.URL+"?ca="+k.ca, "https://127.0.0.1:1/hidden")
	var said bytes.Buffer
	s, err := openState(t.Context(), h.Config, false, slog.New(slog.NewTextHandler(&said, nil)))
	h.must(err)
	i, err := startInstance(t.Context(), s, os.LookupEnv)
	h.must(err)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if l := i.sender.Lines; !l[0].Sent().IsZero() && !l[1].Sent().IsZero() && !l[2].Sent().IsZero() && l[3].Failures() > 0 {
			break
		}
	}
	page := scrape(t, i)
	for _, series := range []string{`failures_total{kind="file",target="1"} 0`, `failures_total{kind="http",target="4"} [1-9]`,
		`sent_timestamp_seconds{kind="syslog",target="2"} [1-9]`, `sent_timestamp_seconds{kind="http",target="4"} 0`} {
		if !regexp.MustCompile(`(?m)^heyan_log_checkpoint_` + series).MatchString(page) {
			t.Errorf("no %s in\n%s", series, page)
		}
	}
	h.must(i.stop(t.Context()))
	if text := said.String(); strings.Contains(text, "hidden") || !strings.Contains(text, "could not be compared") || !strings.Contains(text, "could not be sent") {
		t.Errorf("said %s", text)
	}
	size := fmt.Sprintf("\n%d\n", h.size())
	if text, err := os.ReadFile(file); err != nil || !bytes.Contains(text, []byte(size)) {
		t.Errorf("the file lacks the checkpoint of the stop: %v\n%s", err, text)
	}
	if !bytes.Contains(k.note, []byte(size)) {
		t.Errorf("the endpoint has %s", k.note)
	}
	last := ""
	for len(k.seen) > 0 {
		last = <-k.seen
	}
	if !strings.Contains(last, fmt.Sprintf(" with %d records", h.size())) {
		t.Errorf("syslog ends with %q", last)
	}
}

// What a target names is checked with the configuration; whether anybody is there is not.
func TestConfigCheckReadsTargets(t *testing.T) {
	h := newHome(t)
	path := filepath.Join(h.dir, "heyan.yaml")
	h.sendTo("https://127.0.0.1:1/hidden")
	if code, said := h.heyan("config", "check", path); code != exitOK {
		t.Errorf("exit code %d: %s", code, said)
	}
	h.sendTo("https://127.0.0.1:1/hidden?ca=missing.pem")
	if code, said := h.heyan("config", "check", path); code != exitUsage || !strings.Contains(said, "missing.pem") || strings.Contains(said, "hidden") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// A server takes a hundred: the newest is among them, and the oldest are not far.
func TestSpread(t *testing.T) {
	var notes [][]byte
	for n := range 1234 {
		notes = append(notes, fmt.Append(nil, n))
	}
	few := spread(notes, maxAsked)
	if len(few) != maxAsked || string(few[maxAsked-1]) != "1233" || string(few[0]) != "11" {
		t.Errorf("%d, from %s to %s", len(few), few[0], few[len(few)-1])
	}
	if all := spread(notes[:7], maxAsked); len(all) != 7 {
		t.Errorf("%d of 7", len(all))
	}
}

func scrape(t *testing.T, i *instance) string {
	t.Helper()
	answer, err := http.Get("http://" + i.statusAt.Addr().String() + "/metrics")
	must(t, err)
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	must(t, err)
	return string(page)
}
