package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// TestExportOfARealServer: from the server as it ships to a proof by the key alone, while the log goes on growing.
func TestExportOfARealServer(t *testing.T) {
	_, home := laid(t)
	p := startProcess(t, home)
	must(t, devProfiles(home, p.serving.Address))
	crew := crewOf(t, home, p.serving.Address)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	key, err := (&tenant{id: "acme-bank", products: []string{"id2"}}).furnish(ctx, crew)
	must(t, err)
	for range 300 {
		if _, err := heyanv1.NewCatalogServiceClient(dialPlain(t, home, p.serving.Address, key)).GetAccount(ctx, &heyanv1.GetAccountRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	base := t.TempDir()
	heyan := func(args ...string) (int, string) {
		var out strings.Builder
		s := streams{In: strings.NewReader(""), Out: &out, Err: &out, Now: time.Now, Env: profilesIn(home)}
		for i, arg := range args {
			args[i] = strings.ReplaceAll(arg, "BASE", base)
		}
		code := run(ctx, args, s)
		return code, out.String()
	}
	note := filepath.Join(base, "older")
	checkpoint, err := heyanv1.NewLogServiceClient(crew.audit).GetCheckpoint(ctx, &heyanv1.GetCheckpointRequest{})
	must(t, err)
	must(t, os.WriteFile(note, checkpoint.GetNote(), 0o600))
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"whole", `(?m)^completeness +proven$`, nil},
		{"csv", `(?m)^completeness +proven$`, []string{"--format", "csv", "--lang", "zh", "--bom", "--start-index", "5"}},
		{"client", `(?m)^completeness +not shown \(filtered\)$`, []string{"--client", "acme-bank", "--since", "1h", "--checkpoint", note}},
		{"nobody", `(?m)^rows +0$`, []string{"--client", "nobody"}},
	} {
		if code, text := heyan(append([]string{"log", "export", "--profile", "audit", "--out", "BASE/" + c.name}, c.args...)...); code != exitOK {
			t.Fatalf("%s: exit code %d\n%s", c.name, code, text)
		}
		verify := []string{"log", "verify", "BASE/" + c.name, "--key", p.serving.LogKey}
		if c.name == "whole" || c.name == "client" {
			verify = append(verify, "--checkpoint", note)
		}
		code, text := heyan(verify...)
		if code != exitOK || !regexp.MustCompile(c.want).MatchString(text) || !regexp.MustCompile(`(?m)^members +proven$`).MatchString(text) ||
			len(verify) > 5 && !strings.Contains(text, "1 of 1 outside") {
			t.Errorf("%s: exit code %d\n%s", c.name, code, text)
		}
	}
	// The client's hours agree with the totals of the log; without one row they do not, nor can they without a total.
	hours := func(name string) []string {
		from := time.Now().Add(-time.Hour).Truncate(time.Hour)
		return []string{"log", "export", "--profile", "audit", "--client", "acme-bank", "--from", from.Format(time.RFC3339), "--to", from.Add(3 * time.Hour).Format(time.RFC3339), "--out", "BASE/" + name}
	}
	for name, c := range map[string]struct {
		file string
		code int
		want string
	}{
		"honest":        {"", exitOK, `(?m)^hourly totals +agree \(\d whole hours?\)$`},
		"without-row":   {"entries.jsonl", exitNo, `MISSING +entries.jsonl +totals disagree, indexes .*acme-bank, .*, SUCCESS: total says \d+, export has \d+`},
		"without-total": {"totals.jsonl", exitNo, `MISSING +totals.jsonl +no total counts records`},
	} {
		if code, text := heyan(hours(name)...); code != exitOK {
			t.Fatalf("%s: exit code %d\n%s", name, code, text)
		}
		if c.file != "" {
			size := treeSize(t, filepath.Join(base, name))
			if code, text := heyan("log", "export", "--profile", "audit", "--end-index", fmt.Sprint(size), "--out", "BASE/all-"+name); code != exitOK {
				t.Fatalf("exit code %d\n%s", code, text)
			}
			newForger(t, filepath.Join(base, "all-"+name), size).drop(filepath.Join(base, name), c.file, len(rowsOf(t, filepath.Join(base, name, c.file)))/2)
		}
		code, text := heyan("log", "verify", "BASE/"+name, "--key", p.serving.LogKey)
		if code != c.code || !regexp.MustCompile(c.want).MatchString(text) || !regexp.MustCompile(`(?m)^members +proven$`).MatchString(text) {
			t.Errorf("%s: exit code %d\n%s", name, code, text)
		}
	}
	if code, text := heyan("log", "list", "--profile", "audit", "--event", "system.totals"); code != exitOK ||
		!regexp.MustCompile(`(?m)system\.totals +system +SUCCESS +counts 0 to \d+: \d+ records in \d+ groups$`).MatchString(text) {
		t.Errorf("totals are listed as: exit code %d\n%s", code, text)
	}
	code, text := heyan("log", "list", "--profile", "audit", "--event", "log.exported", "-o", "json")
	if code != exitOK || strings.Count(text, `"event":"log.exported","severity"`) != 9 || !strings.Contains(text, `"filters":["from","client"]`) {
		t.Errorf("exports are recorded as: exit code %d\n%s", code, text)
	}
	if code, text := heyan("log", "export", "--profile", "audit", "--to", "2020-01-01", "--out", "BASE/before"); code != exitNo || !strings.Contains(text, "holds nothing of this range") {
		t.Errorf("before coverage: exit code %d\n%s", code, text)
	}
	if code, text := heyan("log", "export", "--profile", "system", "--out", "BASE/denied"); code != exitRefused || !strings.Contains(text, "ROLE_REQUIRED") {
		t.Errorf("a system administrator exports: exit code %d\n%s", code, text)
	}
	for _, name := range []string{"before", "denied"} {
		if left, _ := filepath.Glob(filepath.Join(base, name+"*")); len(left) > 0 {
			t.Errorf("%v is there", left)
		}
	}
}

// profilesIn is an environment that names a folder of profiles.
func profilesIn(dir string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if name == "HEYAN_CONFIG_HOME" {
			return dir, true
		}
		return "", false
	}
}

// closed is standard output whose reader went away.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestExportToABrokenPipe(t *testing.T) {
	server, err := newFake()
	must(t, err)
	t.Cleanup(server.stop)
	server.log.add(&record.Record{Event: record.VerificationVerify, Outcome: record.Outcome{Kind: record.Success}})
	config := t.TempDir()
	must(t, server.writeConfig(config))
	var complaint strings.Builder
	s := streams{In: strings.NewReader(""), Out: closed{}, Err: &complaint, Now: time.Now, Env: profilesIn(config)}
	if code := run(t.Context(), []string{"log", "export", "--out", "-"}, s); code == exitOK || !strings.Contains(complaint.String(), "broken pipe") {
		t.Errorf("the rows went nowhere, and the exit code is %d: %s", code, complaint.String())
	}
}
