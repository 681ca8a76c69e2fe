package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// logs pulls the log, proves it offline, and checks a receipt with and without its opening.
func (d *demo) logs(ctx context.Context) error {
	saved, key := filepath.Join(d.home, "log.jsonl"), filepath.Join(d.home, "log.vkey")
	if err := os.WriteFile(key, []byte(d.i.log.Key()+"\n"), 0o600); err != nil {
		return err
	}
	audit := func(args ...string) string { return d.exit(ctx, "", append(args, "--profile", "audit")...) }
	d.add("network log", "the auditor pulls every record", "exit 0", audit("log", "list", "--save", saved), "")
	d.add("network log", "proven here, without the server", "exit 0", d.exit(ctx, "", "log", "verify", "--file", saved, "--key", key), "")
	if err := tamper(saved, filepath.Join(d.home, "tampered.jsonl")); err != nil {
		return err
	}
	d.add("network log", "the same with one record changed", "exit 1", d.exit(ctx, "", "log", "verify", "--file", filepath.Join(d.home, "tampered.jsonl"), "--key", key), "")
	d.add("network log", "proven on the server", "exit 0", audit("log", "verify"), "")
	if err := d.export(key, audit); err != nil {
		return err
	}
	d.kept(ctx)
	return d.receipt(ctx, key)
}

// kept shows that nobody shortens what the law asks for, and that one person holds what only two let go.
func (d *demo) kept(ctx context.Context) {
	compliance := heyanv1.NewComplianceServiceClient(d.crew.security)
	_, err := compliance.UpdateRetentionPolicy(ctx, &heyanv1.UpdateRetentionPolicyRequest{
		RetentionPolicy: &heyanv1.RetentionPolicy{Log: &heyanv1.LogPeriod{Period: "P5M"}}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"log.period"}}})
	d.refused("network log", "to be kept for five months only", "RETENTION_BELOW_FLOOR", err, d.crew.security)
	hold, err := compliance.CreateHold(ctx, &heyanv1.CreateHoldRequest{
		Hold: &heyanv1.Hold{Id: "court-17", Cause: heyanv1.Hold_CAUSE_COURT, Reference: "(2026) 17", LogRange: &heyanv1.Hold_LogRange{}}})
	got := enumText(hold.GetState())
	if err != nil {
		got, _ = reasonAndFact(err, "")
	}
	d.add("network log", "held for a court, by one person", "ACTIVE", got, d.crew.security.LogEntry())
	_, err = compliance.ReleaseHold(ctx, &heyanv1.ReleaseHoldRequest{Id: "court-17", Reason: "closed"})
	d.refused("network log", "and released by one person", "APPROVAL_REQUIRED", err, d.crew.security)
}

// export takes a part of the log as a spreadsheet, proves it offline, and shows that an edited cell is found.
func (d *demo) export(key string, audit func(...string) string) error {
	dir := filepath.Join(d.home, "export")
	d.add("network log", "every refusal, exported for a spreadsheet", "exit 0",
		audit("log", "export", "--outcome", "DENIED", "--format", "csv", "--lang", "zh", "--bom", "--out", dir), "")
	d.add("network log", "proven here: each row, and each column of it", "exit 0", audit("log", "verify", dir, "--key", key), "")
	path := filepath.Join(dir, "entries.csv")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), ",DENIED,", ",SUCCESS,", 1)), 0o600); err != nil {
		return err
	}
	d.add("network log", "the same with one refusal made a success", "exit 1", audit("log", "verify", dir, "--key", key), "")
	return nil
}

// exit runs a command line with the demo's profiles and returns its exit code as text.
func (d *demo) exit(ctx context.Context, in string, args ...string) string {
	var out, errs strings.Builder
	return fmt.Sprintf("exit %d", d.within(ctx, d.home, strings.NewReader(in), &out, &errs, args...))
}

// tamper copies a saved log and changes one byte of one record.
func tamper(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	line := []byte(lines[len(lines)/2])
	at := strings.Index(string(line), `"leaf":"`)
	if at < 0 {
		return fmt.Errorf("%s has no leaf in its middle line", from)
	}
	at += len(`"leaf":"`) + 20
	if line[at] == 'A' {
		line[at] = 'B'
	} else {
		line[at] = 'A'
	}
	lines[len(lines)/2] = string(line)
	return os.WriteFile(to, []byte(strings.Join(lines, "\n")), 0o600)
}

// receipt proves a receipt: in the log, and about whom.
func (d *demo) receipt(ctx context.Context, key string) error {
	person := d.cases.Everything
	v, err := d.verify(d.request("id2", person))
	if err != nil {
		return err
	}
	file := filepath.Join(d.home, "receipt.json")
	d.add("receipt", "the client reads it", "exit 0", d.exit(ctx, "", "log", "receipt", "get", v.GetId(), "-f", file, "--profile", "client"), "")
	d.add("receipt", "without the opening: in the log, about nobody", "exit 0", d.exit(ctx, "", "log", "receipt", "verify", file, "--key", key), "")
	with := func(name string) string {
		values, err := json.Marshal(map[string]string{"name": name, "id_number": person.ID})
		if err != nil {
			return err.Error()
		}
		return d.exit(ctx, string(values), "log", "receipt", "verify", file, "--key", key, "--opening", hex.EncodeToString(v.GetOpening()), "--stdin")
	}
	d.add("receipt", "with the opening and the values: about this person", "exit 0", with(person.Name), "")
	d.add("receipt", "with the opening and another name", "exit 1", with(d.cases.Absent.Name), "")
	list, err := heyanv1.NewLogServiceClient(d.crew.audit).GetLogCoverage(ctx, &heyanv1.GetLogCoverageRequest{})
	if err != nil {
		return err
	}
	d.add("receipt", fmt.Sprintf("coverage: %d records, six months required", list.GetRecords()), "0 days short", fmt.Sprintf("%d days short", list.GetShortfallDays()), d.crew.audit.LogEntry())
	return nil
}
