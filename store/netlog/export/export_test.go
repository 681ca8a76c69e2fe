package export

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
)

var layouts = map[string]Layout{
	"jsonl":             {Format: JSONL, Lang: English},
	"csv":               {Format: CSV, Lang: English},
	"csv, Chinese, BOM": {Format: CSV, Lang: Chinese, BOM: true},
	"csv, few columns":  {Format: CSV, Lang: English, Columns: []string{"index", "event", "leaf", "amended_by"}},
}

func TestRoundTrip(t *testing.T) {
	w := newWorld(t, 1, 37)
	for name, layout := range layouts {
		for what, a := range map[string]asked{
			"everything": w.whole(layout.Format), "a filter": w.some(layout.Format, 3, 4, 9, 31), "a filter that matches nothing": w.some(layout.Format),
			"a filter that everything passes": w.some(layout.Format, span(0, 37)...),
			"a range":                         {from: 5, to: 12, set: span(5, 12)}, "an empty range": {from: 5, to: 5},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				a.layout = layout
				dir := w.export(a)
				report := w.verify(dir)
				if !report.Whole() || !report.Members || report.Rows != uint64(len(a.set)) || report.Signed.Size != 37 || (report.Totals == TotalsNotNeeded) != a.filter.Empty() {
					t.Errorf("verified: %+v", report)
				}
				if report.Complete != a.filter.Empty() {
					t.Errorf("complete: %v", report.Complete)
				}
				if n := len(a.set); report.Gapless != (n > 0 && a.set[n-1]-a.set[0] == uint64(n-1)) {
					t.Errorf("gapless: %v", report.Gapless)
				}
				for _, name := range []string{ManifestFile, ProofFile, EntriesFile(layout.Format)} {
					info, err := os.Stat(filepath.Join(dir, name))
					must(t, err)
					if info.Mode().Perm() != 0o600 {
						t.Errorf("%s has mode %v", name, info.Mode())
					}
				}
				harmless(t, filepath.Join(dir, EntriesFile(layout.Format)))
				harmless(t, filepath.Join(dir, ManifestFile))
			})
		}
	}
}

// harmless: other programs read the file, and nothing in it controls a terminal.
func harmless(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	text := strings.TrimPrefix(string(content), byteOrderMark)
	for _, r := range text {
		if hidden(r) && r != '\n' && r != '\r' {
			t.Errorf("%s: U+%04X stands in it", filepath.Base(path), r)
		}
	}
	switch filepath.Ext(path) {
	case ".csv":
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		must(t, err)
		if strings.Count(text, "\n") != len(rows) || strings.Count(text, "\r\n") != len(rows) {
			t.Error("a row is not a line")
		}
		for _, row := range rows {
			for i, cell := range row {
				if strings.ContainsAny(cell[:min(len(cell), 1)], "=+-@\t\r") && columns[i].kind != number {
					t.Errorf("column %s begins as a formula does", columns[i].name)
				}
			}
		}
	case ".jsonl":
		lines := bufio.NewScanner(strings.NewReader(text))
		for lines.Scan() {
			if !json.Valid(lines.Bytes()) {
				t.Errorf("not JSON: %s", lines.Text())
			}
		}
	}
}

// What the issue of formulas and headings looks like, to the byte.
func TestWritten(t *testing.T) {
	w := newWorld(t, 1, 5)
	columns := []string{"index", "occurred_at", "clock_offset_ns", "actor", "fields", "change_diff", "detail", "leaf", "amended_by"}
	read := func(l Layout) string {
		l.Columns = columns
		a := w.whole(l.Format)
		a.layout, a.amended = l, "verification.voided"
		content, err := os.ReadFile(filepath.Join(w.export(a), EntriesFile(l.Format)))
		must(t, err)
		return string(content)
	}
	csv := read(Layout{Format: CSV, Lang: Chinese, BOM: true})
	for _, want := range []string{
		"\ufeff序号,发生时间（UTC）,时钟偏差（纳秒）,主体,字段,变更内容,其他,记录原始字节,后续更正\r\n0,2026-11-22T08:00:00.000000000Z,-5,client-0,\"name,id_number\",,,",
		"\r\n1,2026-11-22T08:00:01.000000000Z,-5,'=1+1,",
		`,"'\ta \u{9b}31m\u{202e}, ""b"";\nc\\n",,`,
		`,"{""log_access"":{""from"":0,""to"":3,""count"":0,""filters"":[""client""]}}",`,
		",verification.voided\r\n",
	} {
		if !strings.Contains(csv, want) {
			t.Errorf("CSV lacks %q:\n%s", want, csv)
		}
	}
	jsonl := read(Layout{Format: JSONL, Lang: English})
	for _, want := range []string{
		`{"index":0,"occurred_at":"2026-11-22T08:00:00.000000000Z","clock_offset_ns":-5,"actor":"client-0","fields":"name,id_number","leaf":"`,
		`"actor":"=1+1"`, `"change_diff":"\u0009a \u009b31m\u202e, \"b\";\u000ac\\n"`, `"detail":{"log_access":{"from":0,`,
		`","amended_by":"verification.voided"}` + "\n",
	} {
		if !strings.Contains(jsonl, want) {
			t.Errorf("JSON lacks %q:\n%s", want, jsonl)
		}
	}
}

func TestLayoutsThatAreNone(t *testing.T) {
	for _, l := range []Layout{
		{}, {Format: "xml", Lang: English}, {Format: CSV}, {Format: CSV, Lang: "fr"}, {Format: JSONL, Lang: English, BOM: true},
		{Format: CSV, Lang: English, Columns: []string{"index", "leaf"}}, {Format: CSV, Lang: English, Columns: []string{"index", "name", "leaf", "amended_by"}},
		{Format: CSV, Lang: English, Columns: []string{"event", "leaf", "amended_by"}},
	} {
		dir := filepath.Join(t.TempDir(), "out")
		if _, err := Create(disktest.New(), dir, l); !errors.Is(err, ErrLayout) {
			t.Errorf("%+v: %v", l, err)
		}
		empty(t, filepath.Dir(dir))
	}
}

// empty: nothing was left in a directory.
func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range left {
		t.Errorf("%s was left", e.Name())
	}
}

// Whatever operation on the disk fails, nothing is left under either name; and what is there is flushed before it has
// its name.
func TestFullDisk(t *testing.T) {
	w := newWorld(t, 1, 9)
	a := w.whole(CSV)
	fsys := disktest.New()
	a.fsys = fsys
	dir := filepath.Join(t.TempDir(), "out")
	must(t, w.exportTo(dir, a))
	synced := map[string]bool{}
	for _, op := range fsys.Ops() {
		switch op.Kind {
		case disktest.Write:
			synced[filepath.Base(op.Name)] = false
		case disktest.Sync:
			synced[filepath.Base(op.Name)] = true
		case disktest.Rename:
			for _, name := range []string{ManifestFile, ProofFile, EntriesFile(CSV)} {
				if !synced[name] && name != ProofFile {
					t.Errorf("%s was not flushed before it had its name", name)
				}
			}
		}
	}
	for i := range fsys.Len() {
		full := disktest.New()
		n := 0
		full.Hook(func(op disktest.Op) error {
			n++
			switch {
			case n != i+1 || op.Kind == disktest.Remove:
				return nil
			case op.Kind == disktest.Write && len(op.Data) > 1:
				return errors.Join(syscall.ENOSPC, disktest.Short{N: 1})
			}
			return syscall.ENOSPC
		})
		a.fsys = full
		dir := filepath.Join(t.TempDir(), "out")
		err := w.exportTo(dir, a)
		if err == nil {
			t.Errorf("operation %d fails, and the export does not", i)
		}
		if _, err := os.Lstat(dir); err == nil && fsys.Ops()[i].Kind != disktest.SyncDir {
			t.Errorf("operation %d fails, and the export is there", i)
		}
		if fsys.Ops()[i].Kind != disktest.SyncDir {
			empty(t, filepath.Dir(dir))
		}
	}
}

func TestNothingIsReplaced(t *testing.T) {
	w := newWorld(t, 1, 9)
	dir := w.export(w.whole(CSV))
	if err := w.exportTo(dir, w.whole(CSV)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an export: %v", err)
	}
	if !w.verify(dir).Whole() {
		t.Error("what was there was changed")
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if err := w.exportTo(file, w.whole(CSV)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
}

// An export that would not verify does not get its name.
func TestWhatDoesNotVerifyIsNotWritten(t *testing.T) {
	w, other := newWorld(t, 1, 9), newWorld(t, 2, 10)
	for name, m := range map[string]Manifest{
		"no key": {}, "of another log": other.manifest(w.whole(CSV)), "of another range": w.manifest(asked{from: 1, to: 9}),
	} {
		dir := filepath.Join(t.TempDir(), "out")
		out, err := Create(disktest.New(), dir, Layout{Format: CSV, Lang: English})
		must(t, err)
		must(t, w.fill(out, w.whole(CSV)))
		if err := out.Commit(t.Context(), &m); err == nil || name != "no key" && !errors.Is(err, ErrUnproven) {
			t.Errorf("%s: %v", name, err)
		}
		empty(t, filepath.Dir(dir))
	}
	out, err := NewRows(&bytes.Buffer{}, Layout{Format: JSONL, Lang: English})
	must(t, err)
	must(t, out.Row(4, w.leaves[4], ""))
	for index, leaf := range map[uint64][]byte{4: w.leaves[4], 3: w.leaves[3], 5: []byte("no record")} {
		if err := out.Row(index, leaf, ""); !errors.Is(err, ErrUnproven) {
			t.Errorf("record %d: %v", index, err)
		}
	}
}

// broken is a pipe whose reader went away.
type broken struct{ after int }

func (b *broken) Write(p []byte) (int, error) {
	if b.after -= len(p); b.after < 0 {
		return 0, syscall.EPIPE
	}
	return len(p), nil
}

func TestBrokenPipe(t *testing.T) {
	w := newWorld(t, 1, 5)
	for _, after := range []int{0, 700_000} {
		rows, err := NewRows(&broken{after}, Layout{Format: JSONL, Lang: English})
		must(t, err)
		for i := uint64(0); i < 5000 && err == nil; i++ {
			err = rows.Row(i, w.leaves[i%5], "")
		}
		if err = errors.Join(err, rows.Flush()); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("after %d bytes: %v", after, err)
		}
	}
}

func TestVerifyEnds(t *testing.T) {
	w := newWorld(t, 1, 9)
	dir := w.export(w.whole(CSV))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, dir, Options{Key: w.key}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Verify(t.Context(), t.TempDir(), Options{Key: w.key}); !errors.Is(err, ErrNoExport) {
		t.Errorf("an empty directory: %v", err)
	}
	if Is(t.TempDir()) || !Is(dir) {
		t.Error("an export is not told from another directory")
	}
	var read int64
	_, err := Verify(t.Context(), dir, Options{Key: w.key, Read: func(n int64) { read += n }})
	must(t, err)
	info, err := os.Stat(filepath.Join(dir, EntriesFile(CSV)))
	must(t, err)
	if read != info.Size() {
		t.Errorf("told of %d bytes of %d", read, info.Size())
	}
	if slices.Contains(columnNames(), "") {
		t.Error("a column has no name")
	}
}
