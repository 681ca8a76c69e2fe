package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/store/netlog/export"
)

// exportProof is what `log verify` answers of an export.
type exportProof struct {
	Whole        bool             `json:"whole"`
	Origin       string           `json:"origin"`
	Rows         uint64           `json:"rows"`
	Size         uint64           `json:"size"` // of the signed tree
	Members      string           `json:"members"`
	Completeness string           `json:"completeness"`
	Gapless      bool             `json:"gapless"` // between the first and the last row
	Totals       export.Totals    `json:"hourly_totals"`
	Hours        int              `json:"hours_compared"`
	Bounded      bool             `json:"ends_only_bounded"` // rows there are at most what totals say
	Uncounted    uint64           `json:"records_before_totals"`
	Anchored     int              `json:"anchored"`
	Given        int              `json:"outside_evidence"`
	Amended      uint64           `json:"amended_rows"`
	Findings     []exportFinding  `json:"findings"`
	More         uint64           `json:"more_findings,omitempty"`
	Manifest     *export.Manifest `json:"manifest,omitempty"`
}

type exportFinding struct {
	Kind   string `json:"kind"`
	File   string `json:"file"`
	Row    uint64 `json:"row,omitempty"`
	Index  uint64 `json:"index"`
	Column string `json:"column,omitempty"`
	Text   string `json:"text"`
}

// Answers about completeness, beside proven and notProven.
const filtered = "not shown (filtered)"

// proveExport verifies an export without a server.
func (a *app) proveExport(ctx context.Context, p *proving, kept []keptFile) error {
	switch {
	case p.key == "":
		return usageError("an export needs --key", "a key that stands in the export would prove nothing; an auditor reads keys by: heyan log origins")
	case len(p.sealKeys) > 0 && p.alone:
		return usageError("--seal-key is for a log directory: an export is not sealed", "")
	}
	key, err := verifierKey(p.key)
	if err != nil {
		return err
	}
	evidence, err := a.outside(p, kept, key.Origin())
	if err != nil {
		return err
	}
	var size int64
	files, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		if info, err := file.Info(); err == nil {
			size += info.Size()
		}
	}
	bar := output.NewProgress(a.progressOut(), a.Now, "verified", size, output.Bytes)
	report, err := export.Verify(ctx, p.dir, export.Options{Key: key, Outside: evidence, Read: bar.Add})
	bar.Done()
	if err != nil {
		return err
	}
	answer := exportProofOf(&report, key.Origin())
	if a.json() {
		err = output.Value(a.Out, answer)
	} else {
		err = exportTable(a.Out, answer)
	}
	if err != nil {
		return err
	}
	if !report.Whole() {
		return errNo
	}
	return nil
}

func exportProofOf(r *export.Report, origin string) *exportProof {
	p := &exportProof{
		Whole: r.Whole(), Origin: origin, Rows: r.Rows, Size: r.Signed.Size, Members: notProven, Completeness: notProven, Gapless: r.Gapless, Totals: r.Totals,
		Hours: r.Counted.Hours, Bounded: r.Counted.Bounded, Uncounted: r.Counted.Older,
		Anchored: r.Anchors, Given: r.Given, Amended: r.Amended, Findings: []exportFinding{}, More: r.More, Manifest: r.Manifest,
	}
	if r.Members {
		p.Members = proven
	}
	switch {
	case r.Complete:
		p.Completeness = proven
	case r.Manifest != nil && !r.Manifest.Filter.Empty():
		p.Completeness = filtered
	}
	for _, f := range r.Findings {
		p.Findings = append(p.Findings, exportFinding{strings.ToUpper(f.Verdict.String()), f.File, f.Row, f.Index, f.Column, f.Detail})
	}
	return p
}

func exportTable(out io.Writer, p *exportProof) error {
	table := output.NewTable()
	verdict := "whole"
	if !p.Whole {
		verdict = "NOT WHOLE"
	}
	table.Row("export", verdict)
	table.Row("origin", p.Origin)
	table.Row("rows", output.Count(int64(p.Rows)))
	table.Row("members", p.Members)
	table.Row("completeness", p.Completeness)
	if p.Completeness == filtered {
		table.Row("hourly totals", totalsText(p))
		if p.Gapless {
			table.Row("no gap between", fmt.Sprintf("indexes %d and %d", p.Manifest.First.Index, p.Manifest.Last.Index))
		}
	}
	table.Row("size signed", output.Count(int64(p.Size)))
	anchored := fmt.Sprintf("%d of %s", p.Anchored, countOf(p.Given, "outside checkpoint or receipt"))
	if p.Given == 0 {
		anchored = "not anchored outside"
	}
	table.Row("anchored", anchored)
	if m := p.Manifest; m != nil {
		said(table, m, p.Amended)
	}
	if _, err := table.WriteTo(out); err != nil {
		return err
	}
	if len(p.Findings) == 0 {
		return nil
	}
	findings := output.NewTable("FINDING", "FILE", "ROW", "INDEX", "COLUMN", "WHAT")
	for _, f := range p.Findings {
		row, index := "", ""
		if f.Row > 0 {
			row, index = fmt.Sprint(f.Row), fmt.Sprint(f.Index)
		}
		findings.Row(f.Kind, f.File, row, index, f.Column, f.Text)
	}
	if p.More > 0 {
		findings.Row("", "", "", "", "", fmt.Sprintf("and %d more", p.More))
	}
	fmt.Fprintln(out)
	_, err := findings.WriteTo(out)
	return err
}

// totalsText says what came of hourly totals.
func totalsText(p *exportProof) string {
	text := string(p.Totals)
	if p.Totals == export.TotalsAgree {
		text += " (" + countOf(p.Hours, "whole hour") + ")"
	}
	if p.Bounded && (p.Totals == export.TotalsAgree || p.Totals == export.TotalsIncomplete) {
		text += "; at the ends, no more rows than they say"
	}
	if p.Uncounted > 0 && p.Totals != export.TotalsNone {
		text += fmt.Sprintf("; %s older than totals", countOf(int(p.Uncounted), "record"))
	}
	return text
}

// said adds what the exporter says and nothing proves.
func said(table *output.Table, m *export.Manifest, amended uint64) {
	table.Row("said: range", fmt.Sprintf("indexes %d to %d", m.Range.FromIndex, m.Range.ToIndex))
	if !m.Filter.Empty() {
		table.Row("said: filter", m.Filter.String())
	}
	for _, g := range m.Gaps {
		table.Row("said: not held", gapText(g))
	}
	if amended > 0 {
		table.Row("said: amended later", output.Count(int64(amended)))
	}
	table.Row("said: made", fmt.Sprintf("%s for %s, in %s", m.MakeTime, m.Requester, m.Region))
	table.Row("said: retention", m.RetentionStatement)
}

// gapText prints a gap: by index, or by time.
func gapText(g export.Gap) string {
	from, to := g.FromTime, g.ToTime
	if from == "" && to == "" {
		from = fmt.Sprint(g.FromIndex)
		if g.ToIndex > 0 {
			to = fmt.Sprint(g.ToIndex)
		}
	}
	return strings.TrimSpace(fmt.Sprintf("%s to %s %s", from, to, g.Reason))
}
