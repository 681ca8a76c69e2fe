package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// keepStore copies the store, and returns what puts it back in its place.
func keepStore(t *testing.T, data string) (putBack func()) {
	t.Helper()
	dir, older := filepath.Join(data, "store"), filepath.Join(t.TempDir(), "store")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.CopyFS(older, os.DirFS(dir)))
	return func() {
		t.Helper()
		must(os.RemoveAll(dir))
		must(os.CopyFS(dir, os.DirFS(older)))
	}
}

// shop is a client of a server in a process of its own.
type shop struct {
	t    *testing.T
	home string
	key  string
}

// opened furnishes a client with test credentials.
func opened(t *testing.T, home string, p *process) *shop {
	t.Helper()
	s := &shop{t: t, home: home}
	tenant := tenant{id: "bank", test: true, products: []string{"id2"}}
	var err error
	if s.key, err = tenant.furnish(t.Context(), crewOf(t, home, p.serving.Address)); err != nil {
		t.Fatal(err)
	}
	if _, err := heyanv1.NewConsentServiceClient(dialPlain(t, home, p.serving.Address, s.key)).CreateNotice(t.Context(), fullNotice(devNotice, false)); err != nil {
		t.Fatal(err)
	}
	return s
}

// verify makes one verification, and returns its id.
func (s *shop) verify(p *process, request string) string {
	s.t.Helper()
	answer, err := heyanv1.NewVerificationServiceClient(dialPlain(s.t, s.home, p.serving.Address, s.key)).Verify(s.t.Context(), &heyanv1.VerifyRequest{
		Product: "id2", RequestId: request, Fields: &heyanv1.Fields{Name: proto.String("测试一致"), IdNumber: proto.String("11010519491231002X")},
		Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: devNotice, ObtainTime: timestamppb.New(time.Now().Add(-time.Hour)), EvidenceRef: "agr-1"}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.GetVerification().GetId()
}

// listed returns the ids that the client's ledger has.
func (s *shop) listed(p *process) (ids []string) {
	s.t.Helper()
	list, err := heyanv1.NewVerificationServiceClient(dialPlain(s.t, s.home, p.serving.Address, s.key)).ListVerifications(s.t.Context(), &heyanv1.ListVerificationsRequest{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, v := range list.GetVerifications() {
		ids = append(ids, v.GetId())
	}
	return ids
}

// told is what the log says of an older store: who lists it sees it so.
type told struct {
	accepted []record.Record
	lost     []string
	voided   []string
	amended  []string // ids whose answer is listed as lost
}

func readTold(t *testing.T, home string, p *process) (said told) {
	t.Helper()
	stream, err := heyanv1.NewLogServiceClient(crewOf(t, home, p.serving.Address).audit).ListLogEntries(t.Context(), &heyanv1.ListLogEntriesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return said
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.GetPosition() == nil {
			continue
		}
		r, err := record.Parse(m.GetLeaf())
		if err != nil {
			t.Fatal(err)
		}
		switch r.Event {
		case record.StoreRollbackAccepted:
			said.accepted = append(said.accepted, r)
		case record.VerificationLost:
			said.lost = append(said.lost, r.Object.ID+" "+r.Processing.Verdict)
		case record.VerificationVoided:
			said.voided = append(said.voided, r.Object.ID)
		case record.VerificationVerify:
			if m.GetAmendedBy() == record.VerificationLost.String() {
				said.amended = append(said.amended, r.Object.ID)
			}
		}
	}
}

// TestOlderStorePutBack: an older copy of the store beside the newer log is refused by the server as it ships, and the
// command that the refusal prints goes on: exactly the answers that the copy lacks are on record as lost.
func TestOlderStorePutBack(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signal asks a process to stop there")
	}
	for name, end := range map[string]func(*process){"after a stop": (*process).stop, "after a kill": (*process).kill} {
		t.Run(name, func(t *testing.T) {
			_, home := laid(t)
			p := startProcess(t, home)
			client := opened(t, home, p)
			kept := client.verify(p, "r-1")
			p.stop()
			putBack := keepStore(t, filepath.Join(home, "data"))
			p = startProcess(t, home)
			later := []string{client.verify(p, "r-2"), client.verify(p, "r-3")}
			end(p)
			putBack()

			flags := refusedOlder(t, home)
			p = watch(t, serveCommandOf(t, home, flags...))
			if said := p.serving; said.Lost != 2 || said.Voided+said.Recovered+said.Undone > 0 {
				t.Errorf("the start says %+v", said)
			}
			checkTold(t, readTold(t, home, p), later)
			if got := client.listed(p); !slices.Equal(got, []string{kept}) {
				t.Errorf("the ledger has %v, want %s", got, kept)
			}
			again := client.verify(p, "r-2")
			p.stop()
			if code, text := runOffline(t, "log", "verify", "--dir", filepath.Join(home, "data", "log"), "--key", p.serving.LogKey,
				"--seal-key", filepath.Join(home, "keys", "log-seal.key")); code != exitOK {
				t.Errorf("the log: exit code %d\n%s", code, text)
			}
			p = watch(t, serveCommandOf(t, home, flags...)) // left in a unit file
			if said := p.serving; said.Lost+said.Voided+said.Recovered+said.Undone > 0 {
				t.Errorf("a second start says %+v", said)
			}
			checkTold(t, readTold(t, home, p), later)
			if got := client.listed(p); !slices.Equal(got, []string{again, kept}) {
				t.Errorf("the ledger has %v, want %s and %s", got, again, kept)
			}
		})
	}
}

// refusedOlder wants the server not to start, and returns what it says has to be added to its command.
func refusedOlder(t *testing.T, home string) (flags []string) {
	t.Helper()
	var said bytes.Buffer
	cmd := serveCommandOf(t, home)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }).Stop() // where it serves
	err, out := cmd.Wait(), said.Bytes()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUsage {
		t.Fatalf("an older store: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	command := regexp.MustCompile(`heyan serve --config ` + regexp.QuoteMeta(filepath.Join(home, "heyan.yaml")) + ` (--accept-older-store) ([1-9][0-9]*)\n`).FindSubmatch(out)
	if command == nil || !strings.Contains(string(out), "the store is older than its network log") || strings.Contains(string(out), `"msg":"serving"`) {
		t.Fatalf("the refusal says\n%s", out)
	}
	return []string{string(command[1]), string(command[2])}
}

// checkTold wants the choice on record once, and exactly these answers as lost.
func checkTold(t *testing.T, said told, lost []string) {
	t.Helper()
	if len(said.accepted) != 1 || said.accepted[0].Severity != record.Critical {
		t.Errorf("the choice is recorded as %+v", said.accepted)
	}
	if len(said.voided) > 0 {
		t.Errorf("voided: %v", said.voided)
	}
	slices.Sort(said.lost)
	slices.Sort(said.amended)
	slices.Sort(lost)
	var want []string
	for _, id := range lost {
		want = append(want, id+" MATCH")
	}
	if !slices.Equal(said.lost, want) || !slices.Equal(said.amended, lost) {
		t.Errorf("lost: %v, listed as lost: %v, want %v", said.lost, said.amended, lost)
	}
}

// A store without any mark is older than a log that states one. The choice to go on with it is not asked for again, once
// it is in the log.
func TestStoreWithoutAMark(t *testing.T) {
	h := newHome(t)
	putBack := keepStore(t, h.DataDir)
	h.must(h.start(nil))
	putBack()
	var older *server.OlderStoreError
	if err := h.start(nil); !errors.As(err, &older) || older.Ledger != 0 {
		t.Fatalf("the start says %v", err)
	}
	h.log(func(s *state) { // as far as a start with the choice comes, before it is killed
		_, err := s.offlineJournal().System(record.StoreRollbackAccepted, nil)
		h.must(err)
	})
	h.must(h.start(nil))
}

// A start that is refused for the store says once what the stop before was, with what opening the log cut, and nothing
// else. After a clean stop it says nothing.
func TestRefusedStoreRecordsACrashOnce(t *testing.T) {
	h := newHome(t)
	putBack := keepStore(t, h.DataDir)
	h.must(h.start(nil))
	refuse := func() {
		t.Helper()
		putBack()
		var older *server.OlderStoreError
		for range 2 {
			if err := h.start(nil); !errors.As(err, &older) {
				t.Fatalf("the start says %v", err)
			}
		}
	}
	before := h.size()
	refuse()
	if after := h.size(); after != before {
		t.Errorf("after a clean stop %d records were written", after-before)
	}
	h.tear("torn")
	refuse()
	if got := h.events(2); h.size() != before+1 || !slices.Equal(got, []string{"system.stopped", "system.recovered"}) {
		t.Errorf("after a crash the log ends with %q, %d records more", got, h.size()-before)
	}
}
