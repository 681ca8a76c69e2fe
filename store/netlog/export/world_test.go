package export

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var began = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// world is a signed log in memory.
type world struct {
	t      testing.TB
	signer *tree.Signer
	key    tree.Verifier
	edge   tree.Frontier
	hashes []tree.Hash
	leaves [][]byte
	notes  [][]byte // by size
}

func newWorld(t testing.TB, seed byte, n int) *world {
	t.Helper()
	signer, err := tree.NewSigner("node1-0123456789abcdef", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)))
	must(t, err)
	key, err := tree.NewVerifier(signer.Key())
	must(t, err)
	w := &world{t: t, signer: signer, key: key, notes: make([][]byte, 1)}
	for i := range n {
		w.add(sample(i))
	}
	return w
}

// sample is a record with texts that must not harm who reads them.
func sample(i int) record.Record {
	r := record.Record{
		Time: began.Add(time.Duration(i) * time.Second), Event: record.VerificationVerify, Clock: record.Clock{State: record.ClockSynchronised, Offset: -5},
		Actor: record.Actor{Kind: record.ActorClient, ID: fmt.Sprint("client-", i%3)}, Source: record.Peer{IP: netip.MustParseAddr("203.0.113.7"), Port: 4711},
		Outcome:    record.Outcome{Kind: record.Success},
		Processing: &record.Processing{Product: "id2", Fields: []string{"name", "id_number"}, Verdict: "MATCH"},
	}
	switch i % 5 {
	case 1:
		r.Actor.ID = "=1+1"
	case 2:
		r.Event, r.Change = record.ClientUpdated, &record.Change{Diff: "\ta \u009b31m\u202e, \"b\";\nc\\n"}
	case 3:
		r.Event, r.LogAccess = record.LogListed, &record.LogAccess{To: 3, Filters: []string{"client"}}
	}
	return r
}

func (w *world) add(r record.Record) {
	w.t.Helper()
	leaf, err := record.Append(nil, &r)
	must(w.t, err)
	w.leaves = append(w.leaves, leaf)
	w.hashes = w.edge.Append(tree.LeafHash(leaf), w.hashes)
	note, err := w.signer.Sign(w.edge.Size(), w.edge.Root())
	must(w.t, err)
	w.notes = append(w.notes, note)
}

func (w *world) ReadHashes(indexes []int64) ([]tree.Hash, error) {
	out := make([]tree.Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(w.hashes)) {
			return nil, errors.New("no such hash")
		}
		out[i] = w.hashes[x]
	}
	return out, nil
}

// asked is one export.
type asked struct {
	from, to uint64 // of the range
	set      []uint64
	totals   []uint64
	filter   Filter
	layout   Layout
	anchors  []uint64
	amended  string
	fsys     disk.FS
}

func span(from, to uint64) []uint64 {
	var all []uint64
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

// whole asks for every record.
func (w *world) whole(f Format) asked {
	n := w.edge.Size()
	return asked{to: n, set: span(0, n), layout: Layout{Format: f, Lang: English}}
}

// some asks by a filter that totals do not know.
func (w *world) some(f Format, set ...uint64) asked {
	a := w.whole(f)
	a.set, a.filter = set, Filter{Product: "id2"}
	return a
}

// export writes one below the test's directory.
func (w *world) export(a asked) string {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "out")
	must(w.t, w.exportTo(dir, a))
	return dir
}

func (w *world) exportTo(dir string, a asked) error {
	if a.fsys == nil {
		a.fsys = disk.OS()
	}
	out, err := Create(a.fsys, dir, a.layout)
	if err != nil {
		return err
	}
	if err := w.fill(out, a); err != nil {
		out.Abort()
		return err
	}
	m := w.manifest(a)
	return out.Commit(w.t.Context(), &m)
}

func (w *world) fill(out *Writer, a asked) error {
	proof := tree.NewBatchProof(w.edge.Size(), w, func(h tree.Hash) error { return out.Proof(h[:]) })
	for _, index := range a.set {
		if err := out.Row(index, w.leaves[index], a.amended); err != nil {
			return err
		}
	}
	for _, index := range a.totals {
		if err := out.Total(index, w.leaves[index]); err != nil {
			return err
		}
	}
	all := append(slices.Clone(a.set), a.totals...)
	slices.Sort(all)
	for _, index := range slices.Compact(all) {
		if err := proof.Add(index, tree.LeafHash(w.leaves[index])); err != nil {
			return err
		}
	}
	return proof.Finish(w.edge.Root())
}

func (w *world) manifest(a asked) Manifest {
	n, root := w.edge.Size(), w.edge.Root()
	m := Manifest{
		Origin: w.key.Origin(), VerifierKey: w.key.Key(), Range: Range{a.from, a.to}, Filter: a.filter,
		Tree:               Tree{n, root[:], string(w.notes[n])},
		Gaps:               []Gap{{FromTime: Time(began.Add(-time.Hour)), ToTime: Time(began), Reason: "BEFORE_FIRST_RECORD"}},
		RetentionStatement: "six calendar months", Requester: "zhao-min", Region: "cn-shanghai", MakeTime: Time(began),
	}
	for _, size := range a.anchors {
		hashes, err := tlog.ProveTree(int64(n), int64(size), w)
		must(w.t, err)
		c := Consistency{Size: size}
		for _, h := range hashes {
			c.Hashes = append(c.Hashes, h[:])
		}
		m.Consistency = append(m.Consistency, c)
	}
	return m
}

func (w *world) verify(dir string, outside ...netlog.Evidence) Report {
	w.t.Helper()
	report, err := Verify(w.t.Context(), dir, Options{Key: w.key, Outside: outside})
	must(w.t, err)
	return report
}

// edit changes a file of an export.
func edit(t testing.TB, dir, name string, change func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	content, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, change(content), 0o600))
}
