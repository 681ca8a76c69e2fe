package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/heyan-project/heyan/store/netlog/outside"
)

// maxAsked is how many outside checkpoints a server takes for one verification.
const maxAsked = 100

// keptFile is a file of signed checkpoints, one or many.
type keptFile struct {
	path      string
	notes     []outside.Note
	malformed int    // texts that are none
	begins    []byte // its beginning, for a file without any
}

func readKept(paths []string) ([]keptFile, error) {
	files := make([]keptFile, len(paths))
	for i, path := range paths {
		in, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		files[i].path = path
		if err := errors.Join(files[i].read(in), in.Close()); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func (k *keptFile) read(in io.Reader) (err error) {
	var begins bytes.Buffer
	k.malformed, err = outside.Scan(io.TeeReader(in, &head{to: &begins}), func(n outside.Note) error {
		k.notes = append(k.notes, n)
		return nil
	})
	k.begins = begins.Bytes()
	return err
}

// evidence picks the checkpoints of a log. A node's log before and after it may have been sent to the same place. Where a
// file has none of that log, its last is picked: a checkpoint that says nothing of the log is told as such.
func (a *app) evidence(files []keptFile, origin string) (notes [][]byte) {
	for _, k := range files {
		if len(k.notes) == 0 {
			notes = append(notes, k.begins)
			continue
		}
		before := len(notes)
		for _, n := range k.notes {
			if n.Claims.Origin == origin {
				notes = append(notes, n.Signed)
			}
		}
		if len(notes) == before {
			notes = append(notes, k.notes[len(k.notes)-1].Signed)
		}
		if others := len(k.notes) - (len(notes) - before); others > 0 {
			a.note("%s: %s of other logs left out", k.path, countOf(others, "checkpoint"))
		}
		if k.malformed > 0 {
			a.note("%s: %s left out, such as a checkpoint that was cut short", k.path, countOf(k.malformed, "other text"))
		}
	}
	return notes
}

// lastOrigin is whose log the files are about, where nothing else says it: that of the last checkpoint.
func lastOrigin(files []keptFile) string {
	for _, k := range slices.Backward(files) {
		if n := len(k.notes); n > 0 {
			return k.notes[n-1].Claims.Origin
		}
	}
	return ""
}

// head keeps the first bytes written to it.
type head struct{ to *bytes.Buffer }

func (h *head) Write(b []byte) (int, error) {
	h.to.Write(b[:min(len(b), max(0, 4<<10-h.to.Len()))])
	return len(b), nil
}

// spread picks up to n of a list, evenly, and always the last.
func spread(notes [][]byte, n int) [][]byte {
	if len(notes) <= n {
		return notes
	}
	few := make([][]byte, 0, n)
	for i := 1; i <= n; i++ {
		few = append(few, notes[i*len(notes)/n-1])
	}
	return few
}
