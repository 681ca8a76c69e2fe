package export

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// lines changes the rows of an export, each with its end; the heading is not among them.
func lines(t *testing.T, dir string, change func(rows [][]byte) [][]byte) {
	t.Helper()
	for _, f := range []Format{JSONL, CSV} {
		if _, err := os.Stat(filepath.Join(dir, EntriesFile(f))); err != nil {
			continue
		}
		edit(t, dir, EntriesFile(f), func(content []byte) []byte {
			rows := bytes.SplitAfter(content, []byte("\n"))
			rows = rows[:len(rows)-1]
			if f == JSONL {
				return bytes.Join(change(rows), nil)
			}
			return append(bytes.Clone(rows[0]), bytes.Join(change(rows[1:]), nil)...)
		})
	}
}

func replace(t *testing.T, dir, name, from, to string) {
	t.Helper()
	edit(t, dir, name, func(content []byte) []byte {
		changed := bytes.Replace(content, []byte(from), []byte(to), 1)
		if bytes.Equal(changed, content) {
			t.Fatalf("%s has no %q", name, from)
		}
		return changed
	})
}

// resum makes the manifest name the files as they are: a forger does not forget that.
func resum(t *testing.T, w *world, dir string, count uint64) {
	t.Helper()
	in, err := os.Open(filepath.Join(dir, ManifestFile))
	must(t, err)
	m, err := parseManifest(in)
	must(t, err)
	must(t, in.Close())
	for i := range m.Files {
		content, err := os.ReadFile(filepath.Join(dir, m.Files[i].Name))
		must(t, err)
		s := summed{name: m.Files[i].Name, sum: sha256.New(), size: int64(len(content))}
		s.sum.Write(content)
		m.Files[i] = s.describe()
	}
	m.Count = count
	text, err := m.marshal()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, ManifestFile), text, 0o600))
}

// wants: the report has a finding of this kind that says this, and is not whole.
func wants(t *testing.T, report Report, want string) {
	t.Helper()
	var all []string
	for _, f := range report.Findings {
		all = append(all, f.String())
	}
	if report.Whole() || !strings.Contains(strings.Join(all, "\n"), want) {
		t.Errorf("want %q, found:\n%s", want, strings.Join(all, "\n"))
	}
}

// Everything that can be done to rows is found, named by row and index, and told apart.
func TestChangedRows(t *testing.T) {
	const n = 12
	w := newWorld(t, 1, n)
	at := func(i int, change func([]byte) []byte) func([][]byte) [][]byte {
		return func(rows [][]byte) [][]byte {
			rows[i] = change(bytes.Clone(rows[i]))
			return rows
		}
	}
	swap := func(from, to string) func([]byte) []byte {
		return func(row []byte) []byte {
			changed := bytes.Replace(row, []byte(from), []byte(to), 1)
			if bytes.Equal(row, changed) {
				t.Fatalf("%s has no %q", row, from)
			}
			return changed
		}
	}
	for name, c := range map[string]struct {
		change  func([][]byte) [][]byte
		want    string
		formats string
		members bool // still
	}{
		"an actor edited":     {at(3, swap("client-0", "client-1")), "tampered: entries.FORMAT, row 4, index 3, column actor: shows something else", "", true},
		"a number edited":     {at(3, swap("4711", "4712")), "tampered: entries.FORMAT, row 4, index 3, column source_port: ", "", true},
		"a cell emptied":      {at(0, swap("MATCH", "")), "row 1, index 0, column verdict: ", "", true},
		"a member left out":   {at(0, swap(`"verdict":"MATCH",`, "")), "row 1, index 0, column verdict: is not shown", "jsonl", true},
		"a member doubled":    {at(0, swap(`"verdict":"MATCH",`, `"verdict":"MISMATCH","verdict":"MATCH",`)), "row 1, index 0, column verdict: shows something else", "jsonl", true},
		"a member more":       {at(0, swap(`"}`, `","note":"x"}`)), "row 1, index 0: shows something that is not in the leaf", "jsonl", true},
		"other white space":   {at(0, swap(`","`, `", "`)), "row 1, index 0: is not written as", "jsonl", true},
		"other ends of lines": {at(0, swap("\r\n", "\n")), "row 1, index 0: is not written as", "csv", true},
		"an amendment":        {at(2, swap(",\r\n", ",nothing\r\n")), "row 3, index 2, column amended_by: is no event", "csv", true},
		"an index edited":     {at(4, swap("4", "5")), "", "", false},
		"a row spoilt":        {at(4, func([]byte) []byte { return []byte("x\n") }), "tampered: entries.FORMAT, row 5, index 4: is no row", "", false},
		"a leaf cut":          {at(4, swap("CQA", "QA")), "", "", false},
		"a row dropped":       {func(rows [][]byte) [][]byte { return append(rows[:4:4], rows[5:]...) }, "missing: entries.FORMAT, row 5, index 5: record 4 is not there", "", false},
		"rows dropped":        {func(rows [][]byte) [][]byte { return append(rows[:4:4], rows[7:]...) }, "records 4 to 6 are not there", "", false},
		"the first dropped":   {func(rows [][]byte) [][]byte { return rows[1:] }, "missing: entries.FORMAT, row 1, index 1: record 0 is not there", "", false},
		"the last dropped":    {func(rows [][]byte) [][]byte { return rows[:n-1] }, "missing: entries.FORMAT: record 11 is not there", "", false},
		"all dropped":         {func([][]byte) [][]byte { return nil }, "missing: entries.FORMAT: records 0 to 11 are not there", "", false},
		"a row doubled":       {func(rows [][]byte) [][]byte { return append(append(rows[:5:5], rows[4]), rows[5:]...) }, "tampered: entries.FORMAT, row 6, index 4, column index: stands behind", "", false},
		"rows swapped": {func(rows [][]byte) [][]byte {
			rows[4], rows[5] = rows[5], rows[4]
			return rows
		}, "tampered: entries.FORMAT, row 6, index 4, column index: stands behind", "", false},
		"cut inside of a row": {at(n-1, func(row []byte) []byte { return row[:len(row)-9] }), "missing: entries.FORMAT, row 12, index 11: the file ends inside of this row", "", false},
	} {
		for _, format := range []Format{JSONL, CSV} {
			if c.formats != "" && c.formats != string(format) {
				continue
			}
			for _, summed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, summed %v", name, format, summed), func(t *testing.T) {
					dir := w.export(w.whole(format))
					lines(t, dir, c.change)
					if summed {
						resum(t, w, dir, n)
					}
					report := w.verify(dir)
					wants(t, report, strings.ReplaceAll(c.want, "FORMAT", string(format)))
					if report.Members != c.members || report.Complete != c.members {
						t.Errorf("members %v, complete %v", report.Members, report.Complete)
					}
				})
			}
		}
	}
}

// A row that is dropped from a filtered export cannot be named, and neither can one that is written as its leaf says;
// that something is wrong is found all the same, however well it is covered up.
func TestCoveredUp(t *testing.T) {
	w := newWorld(t, 1, 37)
	set := []uint64{3, 4, 9, 20, 31}
	forge := func(index uint64) []byte {
		r := sample(int(index))
		r.Outcome.Kind = record.Denied
		leaf, err := record.Append(nil, &r)
		must(t, err)
		return leaf
	}
	for name, c := range map[string]struct {
		count uint64
		forge func(dir string)
		want  string
	}{
		"a row dropped": {5, func(dir string) {
			lines(t, dir, func(rows [][]byte) [][]byte { return append(rows[:2:2], rows[3:]...) })
		}, "missing: entries.jsonl: 4 rows, and the manifest counts 5"},
		"a row dropped and not counted": {4, func(dir string) {
			lines(t, dir, func(rows [][]byte) [][]byte { return append(rows[:2:2], rows[3:]...) })
		}, "tampered: proof.bin: rows and proof do not give the signed root"},
		"a row and its leaf rewritten": {5, func(dir string) {
			rewritten := &row{index: 9, leaf: forge(9)}
			rewritten.record, _ = record.Parse(rewritten.leaf)
			s, err := newSheet(Layout{Format: JSONL, Lang: English})
			must(t, err)
			lines(t, dir, func(rows [][]byte) [][]byte {
				rows[2] = s.line(nil, rewritten)
				return rows
			})
		}, "tampered: proof.bin: rows and proof do not give the signed root"},
		"a hash dropped": {5, func(dir string) {
			edit(t, dir, ProofFile, func(b []byte) []byte { return b[:len(b)-32] })
		}, "tampered: proof.bin: rows and proof do not give the signed root"},
		"a hash more": {5, func(dir string) {
			edit(t, dir, ProofFile, func(b []byte) []byte { return append(b, make([]byte, 32)...) })
		}, "tampered: proof.bin: the proof has more hashes"},
		"a byte more": {5, func(dir string) {
			edit(t, dir, ProofFile, func(b []byte) []byte { return append(b, 0) })
		}, "tampered: proof.bin: the proof has more hashes"},
		"called unfiltered": {5, func(dir string) {
			replace(t, dir, ManifestFile, `"product": "id2"`, "")
			edit(t, dir, ManifestFile, func(b []byte) []byte { return bytes.Replace(b, []byte("{\n    \n  }"), []byte("{}"), 1) })
		}, "missing: entries.jsonl, row 1, index 3: records 0 to 2 are not there"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := w.export(w.some(JSONL, set...))
			c.forge(dir)
			resum(t, w, dir, c.count)
			wants(t, w.verify(dir), c.want)
		})
	}
}

func TestChangedManifest(t *testing.T) {
	w, other := newWorld(t, 1, 12), newWorld(t, 2, 12)
	otherDir := other.export(other.whole(CSV))
	note := func(n int) string {
		return strings.ReplaceAll(string(w.notes[n]), "\n", `\n`)
	}
	for name, c := range map[string]struct {
		change func(dir string)
		want   string
	}{
		"gone":             {func(dir string) { must(t, os.Remove(filepath.Join(dir, ProofFile))) }, "missing: proof.bin: the file is gone"},
		"rows gone":        {func(dir string) { must(t, os.Remove(filepath.Join(dir, EntriesFile(CSV)))) }, "missing: entries.csv: the file is gone"},
		"of another log":   {func(dir string) { copyFile(t, otherDir, dir, ManifestFile) }, "unverifiable: manifest.json: the checkpoint is not signed by this key"},
		"no JSON":          {func(dir string) { replace(t, dir, ManifestFile, "{", "") }, "tampered: manifest.json: the manifest cannot be read"},
		"cut":              {func(dir string) { edit(t, dir, ManifestFile, func(b []byte) []byte { return b[:len(b)/2] }) }, "tampered: manifest.json: the manifest cannot be read"},
		"a member more":    {func(dir string) { replace(t, dir, ManifestFile, `"lang"`, `"note": "x", "lang"`) }, "tampered: manifest.json: the manifest cannot be read"},
		"a member twice":   {func(dir string) { replace(t, dir, ManifestFile, `"lang"`, `"lang": "zh", "lang"`) }, "tampered: manifest.json: the manifest cannot be read"},
		"a newer version":  {func(dir string) { replace(t, dir, ManifestFile, `"version": 2`, `"version": 3`) }, "unverifiable: manifest.json: the manifest is of a newer version"},
		"an older version": {func(dir string) { replace(t, dir, ManifestFile, `"version": 2`, `"version": 1`) }, "unverifiable: manifest.json: the manifest is of an older version"},
		"a time that is none": {func(dir string) {
			replace(t, dir, ManifestFile, `"filter": {}`, "\"filter\": {\n    \"start_time\": \"noon\"\n  }")
		}, "tampered: manifest.json: the manifest cannot be read"},
		"an outcome that is none": {func(dir string) {
			replace(t, dir, ManifestFile, `"filter": {}`, "\"filter\": {\n    \"outcome\": \"MAYBE\"\n  }")
		}, "tampered: manifest.json: the manifest cannot be read"},
		"a newer column": {func(dir string) { replace(t, dir, ManifestFile, `"severity"`, `"mood"`) }, "unverifiable: entries.csv: this version does not know"},
		"another origin": {func(dir string) { replace(t, dir, ManifestFile, `"origin": "node1`, `"origin": "node2`) }, "unverifiable: manifest.json: the export is of another log"},
		"another key":    {func(dir string) { replace(t, dir, ManifestFile, w.key.Key(), other.key.Key()) }, "tampered: manifest.json: names another key"},
		"another size":   {func(dir string) { replace(t, dir, ManifestFile, `"size": 12`, `"size": 13`) }, "tampered: manifest.json: size and root are not those of the checkpoint"},
		"an older tree":  {func(dir string) { replace(t, dir, ManifestFile, note(12), note(11)) }, "tampered: manifest.json: size and root are not those of the checkpoint"},
		"another tree": {func(dir string) {
			replace(t, dir, ManifestFile, `node1-0123456789abcdef\n12\n`, `node1-0123456789abcdef\n11\n`)
		}, "tampered: manifest.json: the checkpoint is not validly signed"},
		"fewer rows":       {func(dir string) { replace(t, dir, ManifestFile, `"count": 12`, `"count": 11`) }, "tampered: entries.csv: 12 rows, and the manifest counts 11"},
		"more rows":        {func(dir string) { replace(t, dir, ManifestFile, `"count": 12`, `"count": 13`) }, "tampered: manifest.json: the manifest cannot be read"},
		"a shorter range":  {func(dir string) { replace(t, dir, ManifestFile, `"from_index": 0`, `"from_index": 1`) }, "tampered: manifest.json: the manifest cannot be read"},
		"a longer range":   {func(dir string) { replace(t, dir, ManifestFile, `"to_index": 12`, `"to_index": 13`) }, "tampered: manifest.json: the manifest cannot be read"},
		"rows cut":         {func(dir string) { edit(t, dir, EntriesFile(CSV), func(b []byte) []byte { return b[:len(b)/2] }) }, "missing: entries.csv: the file has "},
		"proof cut":        {func(dir string) { edit(t, dir, ProofFile, func(b []byte) []byte { return b[:40] }) }, "missing: proof.bin: the file has 40 of "},
		"another sum":      {func(dir string) { replace(t, dir, ManifestFile, `"sha256": "`, `"sha256": "0`) }, "tampered: entries.csv: the file is not the one"},
		"a file unnamed":   {func(dir string) { replace(t, dir, ManifestFile, `"name": "proof.bin"`, `"name": "other.bin"`) }, "tampered: proof.bin: the manifest does not name"},
		"another first":    {func(dir string) { replace(t, dir, ManifestFile, "SYNCHRONISED", "UNKNOWN") }, "tampered: manifest.json: first and last are not"},
		"another language": {func(dir string) { replace(t, dir, ManifestFile, `"lang": "en"`, `"lang": "zh"`) }, "tampered: entries.csv: the heading is not"},
		"another heading":  {func(dir string) { replace(t, dir, EntriesFile(CSV), "category", "Category") }, "tampered: entries.csv: the heading is not"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.whole(CSV)
			if name == "proof cut" { // that of every record has no hash
				a = w.some(CSV, 1, 2)
			}
			dir := w.export(a)
			c.change(dir)
			wants(t, w.verify(dir), c.want)
		})
	}
	t.Run("another key given", func(t *testing.T) {
		report, err := Verify(t.Context(), w.export(w.whole(CSV)), Options{Key: other.key})
		must(t, err)
		wants(t, report, "unverifiable: manifest.json: the checkpoint is not signed by this key")
		if len(report.Findings) != 1 || report.Members || report.Complete {
			t.Errorf("report: %+v", report)
		}
	})
	t.Run("a smaller range", func(t *testing.T) { // says less, and that is true
		dir := w.export(asked{from: 3, to: 9, set: span(3, 9), layout: Layout{Format: CSV, Lang: English}})
		replace(t, dir, ManifestFile, `"to_index": 9`, `"to_index": 10`)
		wants(t, w.verify(dir), "missing: entries.csv: record 9 is not there")
		replace(t, dir, ManifestFile, `"from_index": 3`, `"from_index": 4`)
		replace(t, dir, ManifestFile, `"to_index": 10`, `"to_index": 12`)
		wants(t, w.verify(dir), "tampered: entries.csv, row 1, index 3, column index: is not in the manifest's range")
	})
}

func copyFile(t *testing.T, from, to, name string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(from, name))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(to, name), content, 0o600))
}

// A record that this version cannot read is neither tampered with nor missing.
func TestNewerRecord(t *testing.T) {
	w := newWorld(t, 1, 5)
	newer := append(bytes.Clone(w.leaves[2]), 0xfa, 0x01, 0x00) // a member of number 31
	w.edge, w.hashes, w.notes = tree.Frontier{}, nil, w.notes[:1]
	leaves := w.leaves
	w.leaves = nil
	for i := range leaves {
		w.add(sample(i))
		if i == 2 {
			w.edge, w.hashes, w.notes = tree.Frontier{}, nil, w.notes[:1]
			for _, leaf := range [][]byte{leaves[0], leaves[1], newer} {
				w.hashes = w.edge.Append(tree.LeafHash(leaf), w.hashes)
				w.notes = append(w.notes, nil)
			}
		}
	}
	dir := filepath.Join(t.TempDir(), "out")
	must(t, os.Mkdir(dir, 0o700))
	honest := newWorld(t, 1, 5).export(w.whole(JSONL))
	for _, name := range []string{EntriesFile(JSONL), ProofFile, ManifestFile} {
		copyFile(t, honest, dir, name)
	}
	replace(t, dir, EntriesFile(JSONL), base64.StdEncoding.EncodeToString(leaves[2]), base64.StdEncoding.EncodeToString(newer))
	root := w.edge.Root()
	before := newWorld(t, 1, 5)
	oldRoot := before.edge.Root()
	replace(t, dir, ManifestFile, base64.StdEncoding.EncodeToString(oldRoot[:]), base64.StdEncoding.EncodeToString(root[:]))
	escape := func(note []byte) string { return strings.ReplaceAll(string(note), "\n", `\n`) }
	replace(t, dir, ManifestFile, escape(before.notes[5]), escape(w.notes[5]))
	resum(t, w, dir, 5)
	report := w.verify(dir)
	wants(t, report, "unverifiable: entries.jsonl, row 3, index 2, column leaf: is not a record that this version can read")
	if len(report.Findings) != 1 || !report.Members {
		t.Errorf("report: %+v", report)
	}
}

func TestOutsideEvidence(t *testing.T) {
	w, rebuilt := newWorld(t, 1, 37), newWorld(t, 1, 4)
	r := sample(4)
	r.Outcome.Kind = record.Denied
	rebuilt.add(r)
	for i := 5; i < 37; i++ {
		rebuilt.add(sample(i))
	}
	checkpoint := func(n int) netlog.Evidence { return netlog.Evidence{Checkpoint: w.notes[n]} }
	receipt := func(index, size uint64) netlog.Evidence {
		old := newWorld(t, 1, int(size))
		p, err := tree.Prove(index, size, old.edge.Root(), old.notes[size], old)
		must(t, err)
		return netlog.Evidence{Leaf: old.leaves[index], Proof: p.Marshal()}
	}
	some, all := w.some(CSV, 3, 4, 9), w.whole(CSV)
	someAnchored := some
	someAnchored.anchors = []uint64{20, 37}
	for name, c := range map[string]struct {
		log      *world
		asked    asked
		outside  netlog.Evidence
		anchored int
		want     string
	}{
		"the same size":                  {w, some, checkpoint(37), 1, ""},
		"older, all records":             {w, all, checkpoint(12), 1, ""},
		"older, consistency proof":       {w, someAnchored, checkpoint(20), 1, ""},
		"older, no proof":                {w, some, checkpoint(12), 0, "unverifiable: : outside evidence 1: the export has no consistency proof from a tree of 12"},
		"a receipt of a row":             {w, some, receipt(4, 20), 1, ""},
		"a receipt of no row":            {w, some, receipt(5, 20), 0, "no consistency proof from a tree of 20"},
		"a receipt, consistency proof":   {w, someAnchored, receipt(5, 20), 1, ""},
		"later":                          {newWorld(t, 1, 30), newWorld(t, 1, 30).whole(CSV), checkpoint(37), 0, "outside evidence 1 is of a later tree than the export: 37"},
		"no checkpoint":                  {w, all, netlog.Evidence{Checkpoint: []byte("x")}, 0, "unverifiable: : outside evidence 1: "},
		"no receipt":                     {w, all, netlog.Evidence{Proof: []byte("x")}, 0, "unverifiable: : outside evidence 1: "},
		"of another key":                 {w, all, netlog.Evidence{Checkpoint: newWorld(t, 2, 37).notes[37]}, 0, "unverifiable: : outside evidence 1: "},
		"rebuilt: receipt of a row":      {rebuilt, some, receipt(4, 20), 0, "tampered: entries.csv, row 2, index 4: another record than outside evidence 1 shows"},
		"rebuilt: the same size":         {rebuilt, some, checkpoint(37), 0, "outside evidence 1 shows another history"},
		"rebuilt: older, all records":    {rebuilt, all, checkpoint(12), 0, "outside evidence 1 shows another history"},
		"rebuilt: older than the change": {rebuilt, all, checkpoint(4), 1, ""},
		"rebuilt: consistency proof":     {rebuilt, someAnchored, checkpoint(20), 0, "tampered: : outside evidence 1 shows another history, or the manifest's"},
	} {
		t.Run(name, func(t *testing.T) {
			report := c.log.verify(c.log.export(c.asked), c.outside)
			if c.want != "" {
				wants(t, report, c.want)
			} else if !report.Whole() {
				t.Errorf("findings: %v", report.Findings)
			}
			if report.Anchors != c.anchored || report.Given != 1 {
				t.Errorf("anchored by %d of %d", report.Anchors, report.Given)
			}
		})
	}
	dir := w.export(all)
	replace(t, dir, EntriesFile(CSV), "4711", "4712")
	if report := w.verify(dir, checkpoint(12)); report.Anchors != 1 || report.Whole() {
		t.Errorf("an edited column: %+v", report)
	}
}

// word are the members of the manifest that only the exporter says.
var word = []string{"product", "from_time", "to_time", "reason", "retention_statement", "requester", "region", "make_time"}

// A bit flipped in any byte of rows and proof is found; in any of the manifest too, but where only the exporter says it.
func TestEveryFlippedByteIsFound(t *testing.T) {
	w := newWorld(t, 1, 5)
	w.count()
	totals := w.some(CSV, 2, 4)
	totals.totals = []uint64{5}
	for name, a := range map[string]asked{"jsonl": w.some(JSONL, 2, 4), "csv": w.some(CSV, 2, 4), "totals": totals} {
		dir, format := w.export(a), a.layout.Format
		files := []string{EntriesFile(format), ProofFile, ManifestFile}
		if name == "totals" { // the others are flipped already
			files = []string{TotalsFile(format)}
		}
		for _, name := range files {
			path := filepath.Join(dir, name)
			content, err := os.ReadFile(path)
			must(t, err)
			// In place: a file that is cut and written anew is flushed by some file systems.
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(t, err)
			put := func(i int, b byte) {
				_, err := file.WriteAt([]byte{b}, int64(i))
				must(t, err)
			}
			for i := range content {
				put(i, content[i]^1<<(i%7))
				whole := w.verify(dir).Whole()
				put(i, content[i])
				if !whole {
					continue
				}
				line := content[:i+bytes.IndexByte(content[i:], '\n')]
				line = line[bytes.LastIndexByte(line, '\n')+1:]
				member, _, _ := strings.Cut(string(line), ":")
				if name != ManifestFile || !slices.Contains(word, strings.Trim(member, ` "`)) {
					t.Errorf("%s: byte %d flipped, and whole: %s", name, i, line)
				}
			}
			must(t, file.Close())
		}
	}
}

// FuzzRows: whatever stands in a file of rows, a verifier ends without panic, and takes nothing for a row but a row.
func FuzzRows(f *testing.F) {
	w := newWorld(f, 1, 6)
	dirs := map[Format]string{}
	for _, format := range []Format{JSONL, CSV} {
		dirs[format] = w.export(w.whole(format))
		content, err := os.ReadFile(filepath.Join(dirs[format], EntriesFile(format)))
		must(f, err)
		f.Add(string(format), content)
		f.Add(string(format), content[:len(content)/2])
	}
	f.Fuzz(func(t *testing.T, format string, content []byte) {
		dir, known := dirs[Format(format)]
		if !known {
			return
		}
		path := filepath.Join(dir, EntriesFile(Format(format)))
		before, err := os.ReadFile(path)
		must(t, err)
		must(t, os.Remove(path))
		must(t, os.WriteFile(path, content, 0o600))
		report, err := Verify(t.Context(), dir, Options{Key: w.key})
		must(t, err)
		must(t, os.Remove(path))
		must(t, os.WriteFile(path, before, 0o600))
		if report.Whole() != bytes.Equal(content, before) {
			t.Errorf("whole: %v", report.Whole())
		}
	})
}

// FuzzManifest: whatever stands in a manifest, a verifier ends without panic, and one that it reads is written again in
// the same bytes.
func FuzzManifest(f *testing.F) {
	w := newWorld(f, 1, 6)
	a := w.some(CSV, 1, 4)
	a.anchors = []uint64{3}
	dir := w.export(a)
	path := filepath.Join(dir, ManifestFile)
	content, err := os.ReadFile(path)
	must(f, err)
	f.Add(content)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := parseManifest(bytes.NewReader(content))
		if err == nil {
			again, err := m.marshal()
			must(t, err)
			if !bytes.Equal(again, content) {
				t.Errorf("%s is written again as %s", content, again)
			}
		}
		must(t, os.Remove(path))
		must(t, os.WriteFile(path, content, 0o600))
		if _, err := Verify(t.Context(), dir, Options{Key: w.key, Outside: []netlog.Evidence{{Checkpoint: w.notes[3]}}}); err != nil {
			t.Error(err)
		}
	})
}
