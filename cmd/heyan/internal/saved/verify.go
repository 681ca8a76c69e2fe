package saved

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Kinds of findings, as in VerifyLogResponse.
const (
	Tampered     = "TAMPERED"     // a line or leaf differs from what was signed
	Missing      = "MISSING"      // a record is not there
	Unverifiable = "UNVERIFIABLE" // nothing signed covers it
)

// maxFindings bounds what is listed; a file of another log would differ in every line.
const maxFindings = 100

// ErrSelection says that a file holds the records that pass a filter: those are as their leaves say, and nothing can be
// said of whether they are all.
var ErrSelection = errors.New("a selection: cannot be proven whole")

// ErrNoFile says that a file is not one of saved records.
var ErrNoFile = errors.New("not a file of saved log records")

// Verify verifies the file that open opens, which it reads twice: first for the checkpoint at its end, then for the
// records. name stands in findings. outside is further signed checkpoints, kept elsewhere. An error says that the file
// could not be read, or is a selection ([ErrSelection]); what is wrong with its content is in the findings.
func Verify(open func() (io.ReadCloser, error), name string, key tree.Verifier, outside [][]byte) (*heyanv1.VerifyLogResponse, error) {
	end, err := readEnd(open)
	if err != nil {
		return nil, err
	}
	v := &verification{name: name, key: key, selection: len(end.Selection) > 0, want: map[uint64]tree.Hash{}, answer: &heyanv1.VerifyLogResponse{}}
	covered := v.checkpoint(end)
	anchors := v.outside(outside)
	in, err := open()
	if err != nil {
		return nil, err
	}
	err = errors.Join(v.records(in), in.Close())
	if err != nil {
		return nil, err
	}
	v.close(end, covered, anchors)
	if v.answer.GetWhole() && v.partial {
		return nil, ErrSelection
	}
	return v.answer, nil
}

// verification is the state of one run over the records.
type verification struct {
	name      string
	key       tree.Verifier
	want      map[uint64]tree.Hash // signed roots by size
	edge      tree.Frontier
	read      uint64
	broken    bool   // the records do not follow each other from 0
	after     uint64 // one more than the newest index, to find records of a selection that are out of order
	selection bool   // the file says that it is one
	partial   bool   // and it is: something is not there
	reached   map[uint64]bool
	answer    *heyanv1.VerifyLogResponse
}

func (v *verification) find(kind string, index uint64, text string) {
	if len(v.answer.GetFindings()) < maxFindings {
		v.answer.Findings = append(v.answer.Findings,
			&heyanv1.VerifyLogResponse_Finding{Kind: kind, File: v.name, Index: index, Text: text})
	}
}

// checkpoint opens the file's own checkpoint and returns the size it covers, 0 without one.
func (v *verification) checkpoint(end End) uint64 {
	c, err := v.key.Open([]byte(end.Checkpoint))
	switch {
	case errors.Is(err, tree.ErrUnknownKey):
		v.find(Unverifiable, 0, "the checkpoint is not signed by this key")
		return 0
	case err != nil:
		v.find(Tampered, 0, "the checkpoint's signature is wrong")
		return 0
	}
	v.want[c.Size] = c.Root
	v.answer.Checkpoint = &heyanv1.Checkpoint{
		Origin: c.Origin, Size: c.Size, Root: c.Root[:], Note: []byte(end.Checkpoint), VerifierKey: v.key.Key(),
	}
	v.answer.Commits = 1
	return c.Size
}

// outside opens further checkpoints and returns those that this key signed.
func (v *verification) outside(notes [][]byte) []tree.Checkpoint {
	var anchors []tree.Checkpoint
	for _, note := range notes {
		c, err := v.key.Open(note)
		if err != nil {
			v.find(Unverifiable, 0, "an outside checkpoint is not signed by this key")
			continue
		}
		if root, known := v.want[c.Size]; known && root != c.Root {
			v.find(Tampered, c.Size, "an outside checkpoint of this size has another root: two histories were signed")
			continue
		}
		v.want[c.Size] = c.Root
		anchors = append(anchors, c)
	}
	return anchors
}

func (v *verification) records(in io.Reader) error {
	v.reached = map[uint64]bool{}
	v.compare()
	return eachLine(in, func(line []byte) error {
		if isEnd(line) {
			return nil
		}
		var entry Entry
		if json.Unmarshal(line, &entry) != nil || entry.Leaf == nil {
			v.find(Tampered, v.read, "a line is no record")
			v.broken = true
			return nil
		}
		v.record(entry)
		return nil
	})
}

func (v *verification) record(entry Entry) {
	if err := entry.shows(); err != nil {
		v.find(Tampered, entry.Index, err.Error())
	}
	if entry.Origin != v.key.Origin() {
		v.find(Tampered, entry.Index, "the record is of another origin")
		v.broken = true
	}
	if v.selection && entry.Index < v.after {
		v.find(Tampered, entry.Index, "the record stands after a later one")
	}
	v.after = entry.Index + 1
	if entry.Index != v.edge.Size() && !v.broken {
		v.gap(Missing, v.edge.Size(), fmt.Sprintf("record %d follows where record %d belongs", entry.Index, v.edge.Size()))
		v.broken = true
	}
	v.read++
	if v.broken {
		return
	}
	v.edge.Append(tree.LeafHash(entry.Leaf), nil)
	v.compare()
}

// gap notes that records are not there, which is no finding in a file that says so.
func (v *verification) gap(kind string, index uint64, text string) {
	if v.selection {
		v.partial = true
		return
	}
	v.find(kind, index, text)
}

// compare holds the tree so far against what was signed for its size.
func (v *verification) compare() {
	root, signed := v.want[v.edge.Size()]
	if !signed {
		return
	}
	v.reached[v.edge.Size()] = true
	if v.edge.Root() != root {
		v.find(Tampered, v.edge.Size(), fmt.Sprintf("the first %d records do not give the signed root", v.edge.Size()))
		v.reached[v.edge.Size()] = false
	}
}

// close says what the whole file comes to.
func (v *verification) close(end End, covered uint64, anchors []tree.Checkpoint) {
	v.answer.Records = v.read
	if end.Count != v.read {
		v.find(Missing, v.read, fmt.Sprintf("the file says %d records and holds %d", end.Count, v.read))
	}
	if !v.broken && v.answer.GetCheckpoint() != nil {
		switch {
		case v.read < covered:
			v.gap(Unverifiable, v.read, fmt.Sprintf("the checkpoint covers %d records, the file holds %d of them", covered, v.read))
		case v.read > covered:
			v.find(Unverifiable, covered, fmt.Sprintf("the checkpoint covers %d records, the file holds %d", covered, v.read))
		}
	}
	for _, anchor := range anchors {
		if v.reached[anchor.Size] {
			v.answer.Anchored++
		} else if anchor.Size > v.read || v.broken {
			v.gap(Unverifiable, anchor.Size, "an outside checkpoint covers more records than can be followed here")
		}
	}
	v.answer.Whole = len(v.answer.GetFindings()) == 0
}

// readEnd finds the last line.
func readEnd(open func() (io.ReadCloser, error)) (End, error) {
	in, err := open()
	if err != nil {
		return End{}, err
	}
	var end End
	found := false
	err = eachLine(in, func(line []byte) error {
		if !isEnd(line) {
			return nil
		}
		if found || json.Unmarshal(line, &end) != nil {
			return ErrNoFile
		}
		found = true
		return nil
	})
	if err := errors.Join(err, in.Close()); err != nil {
		return End{}, err
	}
	if !found {
		return End{}, fmt.Errorf("%w: it has no checkpoint at its end", ErrNoFile)
	}
	return end, nil
}

// Read calls fn with the records of a file, in order, and returns its last line. It proves nothing: [Verify] does. Error:
// [ErrNoFile].
func Read(in io.Reader, fn func(Entry) error) (End, error) {
	var end End
	found := false
	err := eachLine(in, func(line []byte) error {
		var entry Entry
		switch {
		case found:
			return ErrNoFile
		case isEnd(line):
			found = true
			if json.Unmarshal(line, &end) != nil {
				return ErrNoFile
			}
			return nil
		case json.Unmarshal(line, &entry) != nil || entry.Leaf == nil:
			return ErrNoFile
		}
		return fn(entry)
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: it has no checkpoint at its end", ErrNoFile)
	}
	return end, err
}

// isEnd tells the last line by its first member: a record begins with its origin.
func isEnd(line []byte) bool { return bytes.HasPrefix(line, []byte(`{"count":`)) }

func eachLine(in io.Reader, do func([]byte) error) error {
	reader := bufio.NewReaderSize(in, 256<<10)
	for {
		line, err := reader.ReadBytes('\n')
		if text := bytes.TrimSpace(line); len(text) > 0 {
			if err := do(text); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
