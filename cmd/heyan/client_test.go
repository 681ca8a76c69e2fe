package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/verifier/fault"
)

// surroundings runs against a fresh server.
func surroundings(t *testing.T, in io.Reader, out, complaint io.Writer) (*fake, streams) {
	t.Helper()
	server, err := newFake()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.stop)
	dir := filepath.Join(t.TempDir(), "config")
	if err := server.writeConfig(dir); err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) {
		if name == "HEYAN_CONFIG_HOME" {
			return dir, true
		}
		return "", false
	}
	return server, streams{In: in, Out: out, Err: complaint, Env: env, Now: time.Now, Rand: rand.Reader}
}

// Following shows each record when it comes, and ends with exit code 0 when it is interrupted.
func TestTailFollows(t *testing.T) {
	shown, out := io.Pipe()
	var complaint strings.Builder
	server, s := surroundings(t, strings.NewReader(""), out, &complaint)
	server.verification(&heyanv1.VerifyRequest{Product: "id2", RequestId: "r", Fields: &heyanv1.Fields{}})
	ctx, interrupt := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{"log", "tail", "-f", "-o", "json"}, s) }()
	line, err := bufio.NewReader(shown).ReadString('\n')
	if err != nil || !strings.Contains(line, `"index":0`) {
		t.Fatalf("shown %q, %v", line, err)
	}
	interrupt()
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d: %s", got, complaint.String())
	}
}

// A question is answered by a yes, and by nothing else.
func TestConfirm(t *testing.T) {
	for answer, want := range map[string]int{"y\n": exitRefused, "YES\n": exitRefused, "n\n": exitNo, "": exitNo, "\n": exitNo, "yess\n": exitNo} {
		var complaint strings.Builder
		_, s := surroundings(t, strings.NewReader(answer), io.Discard, &complaint)
		// The server does not have the method: exit code 3 says that it was called.
		if got := run(t.Context(), []string{"client", "close", "acme", "--reason", "x"}, s); got != want {
			t.Errorf("%q: exit code %d, want %d", answer, got, want)
		}
	}
}

// A listing that repeats a page ends.
func TestPagesEnd(t *testing.T) {
	calls := 0
	_, err := pages(func(string) ([]int, string, error) {
		calls++
		return []int{calls}, "same", nil
	})
	if err == nil || calls > 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// Every reason of the table is explained with its remedy, in both languages, and exits with 3.
func TestEveryReasonIsExplained(t *testing.T) {
	for _, reason := range fault.Reasons() {
		var complaint strings.Builder
		a := &app{streams: streams{Err: &complaint}, requestID: "r-1"}
		r := refusalOf(status.Convert(refuse(codes.Unavailable, reason.String(), reason.Row().Handling.String())), "o/1")
		if code := a.refused(r); code != exitRefused {
			t.Errorf("%s: exit code %d", reason, code)
		}
		for _, want := range []string{reason.String(), reason.Row().Cause, reason.Row().Remedy, reason.Row().Chinese, "o/1"} {
			if !strings.Contains(complaint.String(), want) {
				t.Errorf("%s: %q does not say %q", reason, complaint.String(), want)
			}
		}
	}
}

func TestShellQuote(t *testing.T) {
	for word, want := range map[string]string{
		"plain-1.2_3/4:5=6,7@8%+": "plain-1.2_3/4:5=6,7@8%+", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'",
	} {
		if got := shellQuote(word); got != want {
			t.Errorf("shellQuote(%q) = %s, want %s", word, got, want)
		}
	}
	args := withoutFlag([]string{"a", "--approval", "old", "b", "--approval=older"}, "--approval")
	if !slices.Equal(args, []string{"a", "b"}) {
		t.Errorf("withoutFlag = %v", args)
	}
}

// A key that could not be written down is not issued.
func TestNoKeyWithoutItsFile(t *testing.T) {
	var complaint strings.Builder
	server, s := surroundings(t, strings.NewReader(""), io.Discard, &complaint)
	args := []string{"credential", "issue", "acme", "--api-key", "--out", filepath.Join(t.TempDir(), "no", "such", "key")}
	if code := run(t.Context(), args, s); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	if got := server.newest("IssueCredential"); got != "" {
		t.Errorf("the server was asked: %s", got)
	}
}

// An answer that cannot be written is an error, not a success.
func TestBrokenOutput(t *testing.T) {
	var complaint strings.Builder
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	_, s := surroundings(t, strings.NewReader(""), write, &complaint)
	if code := run(t.Context(), []string{"client", "list"}, s); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
}

// The credential never stands in a print of the connection's parts.
func TestKeyIsNotInErrors(t *testing.T) {
	var complaint strings.Builder
	_, s := surroundings(t, strings.NewReader(""), io.Discard, &complaint)
	code := run(t.Context(), []string{"client", "list", "--address", "127.0.0.1:1"}, s)
	if code != exitUnreachable || strings.Contains(complaint.String(), fakeAPIKey) {
		t.Errorf("exit code %d: %s", code, complaint.String())
	}
	if dial.LogEntryKey != "heyan-log-entry" {
		t.Error("the trailer has another name than the contract's")
	}
}

// A time that stands alone says its zone, one in a table does not repeat it, and one that is kept to the minute shows
// no seconds.
func TestTimesSayTheirZone(t *testing.T) {
	at := stamp(time.Date(2026, 11, 22, 20, 30, 15, 0, time.UTC))
	for want, got := range map[string]string{
		"2026-11-23 04:30:15": when(at), "2026-11-23 04:30:15 +08:00": whenZoned(at), "2026-11-23 04:30": minute(at), "": when(nil) + whenZoned(nil) + minute(nil),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	table := credentialTable([]*heyanv1.Credential{{Id: "0190", LastUsedTime: at, ExpireTime: at}})
	var shown strings.Builder
	if _, err := table.WriteTo(&shown); err != nil {
		t.Fatal(err)
	}
	if strings.Count(shown.String(), "+08:00") != 1 || !strings.Contains(shown.String(), "2026-11-23 04:30  ") && !strings.Contains(shown.String(), "2026-11-23 04:30\n") {
		t.Errorf("shown:\n%s", shown.String())
	}
}

// A certificate that does not belong to its key is refused by the names of both files.
func TestTLSMismatchNamesFiles(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	initialise(t, home)
	if err := os.Rename(filepath.Join(home, "certs", "a.pem"), filepath.Join(home, "certs", "server.pem")); err != nil {
		t.Fatal(err)
	}
	code, said := heyan(t, "config", "check", filepath.Join(home, "heyan.yaml"))
	if code != exitUsage || !strings.Contains(said, "certs/server.pem and ") || !strings.Contains(said, "certs/server.key: ") {
		t.Errorf("exit code %d: %s", code, said)
	}
}
