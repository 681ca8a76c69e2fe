package netlog

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// TestDamagedMinimum: a minimum index that is forged, has no record or hides a loss is told from a purge.
func TestDamagedMinimum(t *testing.T) {
	opt, clock := purging(options(filepath.Join(t.TempDir(), "log")))
	l, notes := grown(t, opt, clock, 300, 1000)
	early := filepath.Join(t.TempDir(), "early")
	closeLog(t, l)
	if err := os.CopyFS(early, os.DirFS(opt.Dir)); err != nil {
		t.Fatal(err)
	}
	l, _ = open(t, opt)
	purge(t, l, 256)
	lower, err := os.ReadFile(filepath.Join(opt.Dir, minimumFile))
	if err != nil {
		t.Fatal(err)
	}
	purge(t, l, 768, 300)
	closeLog(t, l)
	current, err := os.ReadFile(filepath.Join(opt.Dir, minimumFile))
	if err != nil {
		t.Fatal(err)
	}
	put := func(content []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, minimumFile), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(names ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			for _, name := range names {
				if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for title, c := range map[string]struct {
		damage  func(t *testing.T, dir string)
		early   bool   // of the log before the purges
		finding string // how one begins; empty: none
		opens   bool
	}{
		"forged":               {put(bytes.Replace(current, []byte("768"), []byte("512"), 1)), false, "tampered: records from 0, file minimum at offset 0: not signed", false},
		"a plain checkpoint":   {put(notes[1000]), false, "tampered: records from 0, file minimum at offset 0: signed, but states no", false},
		"cut short":            {put(current[:20]), false, "tampered: records from 0, file minimum", false},
		"a lower one":          {put(lower), false, "missing: records from 256 to 767", false},
		"gone":                 {remove(minimumFile), false, "missing: records from 0 to 767", false},
		"without its record":   {put(current), true, "missing: records from 1500 to 1501, file minimum", false},
		"a segment above":      {remove("segments/00000000000000000768.seg"), false, "missing: records from 768 to 1023", false},
		"both files above":     {remove("segments/00000000000000000768.seg", "segments/00000000000000000768.json"), false, "missing: records from 768 to 1023", false},
		"all segments":         {remove(segmentDir), false, "missing: records from 768 to", false},
		"the write-ahead file": {remove(walDir+"/00000000000000001500.wal", walDir+"/00000000000000001500.idx"), false, "missing:", false},
		"tiles":                {remove("tile"), false, "tampered: records from 0 to 767, file tile", false},
		"edges":                {remove(edgesFile), false, "unverifiable (purged): records from 0 to 767: outside evidence", true},
		"other edges":          {func(t *testing.T, dir string) { spoil(t, dir) }, false, "unverifiable: records from 0 to 299", true},
		"by another record":    {func(t *testing.T, dir string) { restate(t, dir, 1499) }, false, "tampered: records from 1499 to 1499, file minimum", false},
		"nothing":              {func(*testing.T, string) {}, false, "", true},
	} {
		t.Run(title, func(t *testing.T) {
			dir, from := filepath.Join(t.TempDir(), "log"), opt.Dir
			if c.early {
				from = early
			}
			if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			c.damage(t, dir)
			report, opened := judged(t, opt, dir, Evidence{Checkpoint: notes[300]})
			found := slices.ContainsFunc(report.Findings, func(f Finding) bool { return strings.HasPrefix(f.String(), c.finding) })
			if !found && c.finding != "" || c.finding == "" && len(report.Findings) != 1 {
				t.Errorf("findings:\n%v", report)
			}
			if (opened == nil) != c.opens {
				t.Errorf("opened: %v", opened)
			}
		})
	}
}

// spoil changes a hash that was kept.
func spoil(t *testing.T, dir string) {
	t.Helper()
	e, err := readEdges(dir, origin(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	for x := range e.hashes {
		e.hashes[x] = tree.LeafHash([]byte("another"))
	}
	if err := e.write(disktest.NoSync(), dir, origin(t, dir)); err != nil {
		t.Fatal(err)
	}
}

func origin(t *testing.T, dir string) string {
	t.Helper()
	id, err := readIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id.Origin
}

// restate signs the minimum index anew, as if another record had raised it.
func restate(t *testing.T, dir string, index uint64) {
	t.Helper()
	signer, err := tree.NewSigner(origin(t, dir), signing)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := tree.NewVerifier(signer.Key())
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMinimum(dir, verifier)
	if err != nil {
		t.Fatal(err)
	}
	m.record = index
	if err := m.write(disktest.NoSync(), dir, signer); err != nil {
		t.Fatal(err)
	}
}
