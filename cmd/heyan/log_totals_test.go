package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/heyan-project/heyan/store/netlog/export"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// forger has all records of a log, and not its key.
type forger struct {
	t      *testing.T
	edge   tree.Frontier
	hashes []tree.Hash
}

// newForger reads the first records of an export of everything.
func newForger(t *testing.T, whole string, size uint64) *forger {
	t.Helper()
	f := &forger{t: t}
	for _, leaf := range rowsOf(t, filepath.Join(whole, "entries.jsonl"))[:size] {
		f.hashes = f.edge.Append(tree.LeafHash(leaf.leaf), f.hashes)
	}
	return f
}

func (f *forger) ReadHashes(indexes []int64) ([]tree.Hash, error) {
	all := make([]tree.Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(f.hashes)) {
			return nil, errors.New("no such hash")
		}
		all[i] = f.hashes[x]
	}
	return all, nil
}

// exported is a row of an export.
type exported struct {
	index uint64
	leaf  []byte
	line  []byte
}

func rowsOf(t *testing.T, path string) []exported {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	var rows []exported
	for line := range bytes.Lines(content) {
		var cells struct {
			Index uint64 `json:"index"`
			Leaf  string `json:"leaf"`
		}
		must(t, json.Unmarshal(line, &cells))
		leaf, err := base64.StdEncoding.DecodeString(cells.Leaf)
		must(t, err)
		rows = append(rows, exported{cells.Index, leaf, line})
	}
	return rows
}

// drop takes a row, or a total, out of an export, and makes proof, count and sums anew.
func (f *forger) drop(dir, file string, at int) {
	f.t.Helper()
	path := filepath.Join(dir, file)
	kept := slices.Delete(rowsOf(f.t, path), at, at+1)
	var content []byte
	for _, r := range kept {
		content = append(content, r.line...)
	}
	must(f.t, os.WriteFile(path, content, 0o600))
	entries := rowsOf(f.t, filepath.Join(dir, "entries.jsonl"))
	all := append(slices.Clone(entries), rowsOf(f.t, filepath.Join(dir, "totals.jsonl"))...)
	slices.SortFunc(all, func(a, b exported) int { return int(a.index) - int(b.index) })
	var hashes []byte
	proof := tree.NewBatchProof(f.edge.Size(), f, func(h tree.Hash) error {
		hashes = append(hashes, h[:]...)
		return nil
	})
	for _, r := range all {
		must(f.t, proof.Add(r.index, tree.LeafHash(r.leaf)))
	}
	must(f.t, proof.Finish(f.edge.Root()))
	must(f.t, os.WriteFile(filepath.Join(dir, export.ProofFile), hashes, 0o600))
	f.manifest(dir, uint64(len(entries)))
}

func (f *forger) manifest(dir string, count uint64) {
	f.t.Helper()
	path := filepath.Join(dir, export.ManifestFile)
	text, err := os.ReadFile(path)
	must(f.t, err)
	var m export.Manifest
	must(f.t, json.Unmarshal(text, &m))
	m.Count = count
	for i := range m.Files {
		content, err := os.ReadFile(filepath.Join(dir, m.Files[i].Name))
		must(f.t, err)
		sum := sha256.Sum256(content)
		m.Files[i].Bytes, m.Files[i].SHA256 = int64(len(content)), hex.EncodeToString(sum[:])
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	must(f.t, encoder.Encode(m))
	must(f.t, os.WriteFile(path, out.Bytes(), 0o600))
}

// treeSize is how large the tree of an export is.
func treeSize(t *testing.T, dir string) uint64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, export.ManifestFile))
	must(t, err)
	var m export.Manifest
	must(t, json.Unmarshal(text, &m))
	return m.Tree.Size
}
