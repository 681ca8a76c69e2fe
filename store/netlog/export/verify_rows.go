package export

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// source is a file of the export that is read once, from its beginning to its end, while its sum is taken.
type source struct {
	v     *verification
	want  File
	file  *os.File
	in    *bufio.Reader
	sum   hash.Hash
	size  int64
	found bool
}

// open opens a file of the export. One that is not there is a finding. A line can be as long as the buffer.
func (v *verification) open(m *Manifest, name string, buffer int) (*source, error) {
	s := &source{v: v, sum: sha256.New()}
	v.file, v.row = name, 0
	var err error
	if s.want, err = m.file(name); err != nil {
		v.find(netlog.Tampered, "", err.Error())
		return s, nil
	}
	s.file, err = os.Open(filepath.Join(v.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		v.find(netlog.Missing, "", "the file is gone")
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.found, s.in = true, bufio.NewReaderSize(s, buffer)
	return s, nil
}

// Read implements [io.Reader].
func (s *source) Read(b []byte) (int, error) {
	if err := s.v.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.file.Read(b)
	s.sum.Write(b[:n])
	s.size += int64(n)
	s.v.Read(int64(n))
	return n, err
}

// exhausted reports whether the file is at its end.
func (s *source) exhausted() bool {
	_, err := s.in.Peek(1)
	return errors.Is(err, io.EOF)
}

// close reads what is left and compares the file with what the manifest says of it. A shorter file is not called
// tampered with, but missing something.
func (s *source) close() error {
	if !s.found {
		return nil
	}
	_, err := io.Copy(io.Discard, s.in)
	if err := errors.Join(err, s.file.Close()); err != nil {
		return err
	}
	s.v.file, s.v.row = s.want.Name, 0
	switch {
	case s.size < s.want.Bytes:
		s.v.find(netlog.Missing, "", fmt.Sprintf("the file has %d of %d bytes", s.size, s.want.Bytes))
	case hex.EncodeToString(s.sum.Sum(nil)) != s.want.SHA256:
		s.v.find(netlog.Tampered, "", "the file is not the one whose SHA-256 the manifest has")
	}
	return nil
}

// hash reads the next hash of the proof.
func (s *source) hash() (tree.Hash, error) {
	var h tree.Hash
	if !s.found {
		return h, io.EOF
	}
	_, err := io.ReadFull(s.in, h[:])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return h, err
}

// rows verifies the rows, and puts them to the proof as they come.
func (v *verification) rows(m *Manifest) (err error) {
	if v.proof, err = v.open(m, ProofFile, 32<<10); err != nil {
		return err
	}
	v.batch = tree.NewBatchCheck(v.report.Signed.Size, v.proof.hash)
	if v.totals, err = v.openTotals(m); err != nil {
		return err
	}
	entries, err := v.open(m, EntriesFile(m.Format), maxLine)
	if err == nil && entries.found {
		err = v.read(m, entries)
	}
	if !entries.found {
		v.broken = true
	}
	if err == nil {
		err = v.totals.rest()
	}
	return errors.Join(err, entries.close(), v.totals.close())
}

func (v *verification) read(m *Manifest, entries *source) error {
	s, err := newSheet(Layout{m.Format, m.Lang, m.BOM, m.Columns})
	if err != nil {
		v.broken = true
		v.find(netlog.Unverifiable, "", "this version does not know the format or a column: verify it with a newer program")
		return nil
	}
	if heading := s.heading(); len(heading) > 0 {
		got, err := entries.in.ReadSlice('\n')
		if err := readable(err); err != nil {
			return err
		}
		if !bytes.Equal(got, heading) {
			v.find(netlog.Tampered, "", "the heading is not that of the manifest's columns")
		}
	}
	c := &checker{verification: v, m: m, sheet: s}
	for {
		line, err := entries.in.ReadSlice('\n')
		if err := readable(err); err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		v.row++
		if errors.Is(err, bufio.ErrBufferFull) {
			v.broken = true
			v.find(netlog.Tampered, "", "longer than a row can be: what follows was not read")
			break
		}
		if err := c.check(line); err != nil {
			return err
		}
	}
	c.end()
	return nil
}

// readable passes on errors of the file system only.
func readable(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrBufferFull) {
		return nil
	}
	return err
}

// checker compares rows with their leaves.
type checker struct {
	*verification
	m     *Manifest
	sheet *sheet
	cells row
	again []byte
	next  uint64 // one more than the newest index
	first *End
	blind bool // a row could not be read
}

func (c *checker) check(line []byte) error {
	if !bytes.HasSuffix(line, []byte("\n")) {
		c.broken = true
		c.index = c.next
		c.find(netlog.Missing, "", "the file ends inside of this row")
		return nil
	}
	c.report.Rows++
	if err := c.sheet.parse(bytes.TrimRight(line, "\r\n"), &c.cells); err != nil {
		c.broken = true
		c.index = c.next
		c.find(netlog.Tampered, "", "is no row of an export")
		return nil
	}
	c.index = c.cells.index
	c.place()
	leaf := tree.LeafHash(c.cells.leaf)
	if err := c.put(leaf); err != nil {
		return err
	}
	c.shown(line)
	return nil
}

// place judges a row's index.
func (c *checker) place() {
	from := max(c.next, c.m.Range.FromIndex)
	switch {
	case c.index < c.next:
		c.broken = true
		c.find(netlog.Tampered, indexColumn, "stands behind a row of the same or a higher index")
	case c.index < c.m.Range.FromIndex || c.index >= c.m.Range.ToIndex:
		c.find(netlog.Tampered, indexColumn, "is not in the manifest's range")
	case c.index > from && c.m.Filter.Empty():
		c.find(netlog.Missing, "", missing(from, c.index))
	}
	c.next = max(c.next, c.index+1)
}

// missing names records that are not there.
func missing(from, to uint64) string {
	if to == from+1 {
		return fmt.Sprintf("record %d is not there", from)
	}
	return fmt.Sprintf("records %d to %d are not there", from, to-1)
}

// put puts a leaf to the proof, and to the outside evidence.
func (c *checker) put(leaf tree.Hash) error {
	c.compare(c.index, leaf)
	there, err := c.totals.upTo(c.index, leaf)
	if err != nil || c.broken {
		return err
	}
	if !there {
		err = c.batch.Add(c.index, leaf)
	}
	switch {
	case errors.Is(err, tree.ErrProof), errors.Is(err, tree.ErrOrder):
		// What is wrong is only known at the end, when every row has been counted.
		return nil
	case err != nil:
		return err
	}
	if c.edge.Size() == c.index {
		c.edge.Append(leaf, nil)
		c.reached(c.edge.Size(), c.edge.Root)
	}
	return nil
}

// shown compares a row with what its leaf gives.
func (c *checker) shown(line []byte) {
	r, err := record.Parse(c.cells.leaf)
	if err != nil {
		c.blind = true
		c.find(netlog.Unverifiable, leafColumn, "is not a record that this version can read")
		return
	}
	if c.totals.judge != nil {
		c.totals.judge.Row(c.index, &r)
	}
	if c.cells.record = r; c.first == nil {
		c.first = endOf(c.index, &r)
	}
	if c.cells.amended != "" {
		c.report.Amended++
		if _, known := record.ParseEvent(c.cells.amended); !known {
			c.find(netlog.Tampered, amendedColumn, "is no event")
			return
		}
	}
	if c.again = c.sheet.line(c.again[:0], &c.cells); bytes.Equal(line, c.again) {
		return
	}
	column, detail := c.sheet.differs(line, c.again)
	c.find(netlog.Tampered, column, detail)
}

// end judges the rows as a whole.
func (c *checker) end() {
	c.row = 0
	if from := max(c.next, c.m.Range.FromIndex); c.m.Filter.Empty() && from < c.m.Range.ToIndex {
		c.find(netlog.Missing, "", missing(from, c.m.Range.ToIndex))
	}
	switch rows := c.report.Rows; {
	case rows < c.m.Count:
		c.find(netlog.Missing, "", fmt.Sprintf("%d rows, and the manifest counts %d", rows, c.m.Count))
	case rows > c.m.Count:
		c.find(netlog.Tampered, "", fmt.Sprintf("%d rows, and the manifest counts %d", rows, c.m.Count))
	case rows > 0 && !c.blind && !c.broken && (*c.first != *c.m.First || *endOf(c.index, &c.cells.record) != *c.m.Last):
		c.file = ManifestFile
		c.find(netlog.Tampered, "", "first and last are not the first and last row")
	}
}

// differs says in which column a row differs from what its leaf gives.
func (s *sheet) differs(line, want []byte) (column, detail string) {
	const spelling = "is not written as an export writes it"
	shown, err := s.cells(line)
	if err != nil {
		return "", spelling
	}
	held, err := s.cells(want)
	if err != nil {
		return "", spelling
	}
	for i, cell := range held {
		if i >= len(shown) || shown[i].name != cell.name {
			return cell.name, "is not shown where it stands in the leaf"
		}
		if shown[i].text != cell.text {
			return cell.name, "shows something else than the leaf"
		}
	}
	if len(shown) > len(held) {
		// The name may be anything, and is not repeated.
		return "", "shows something that is not in the leaf"
	}
	return "", spelling
}

// shownCell is a cell of a row, and the column it stands in.
type shownCell struct{ name, text string }

// cells takes a row apart.
func (s *sheet) cells(line []byte) ([]shownCell, error) {
	if s.Format == CSV {
		reader := csv.NewReader(bytes.NewReader(line))
		texts, err := reader.Read()
		if err != nil {
			return nil, err
		}
		all := make([]shownCell, len(texts))
		for i, t := range texts {
			all[i].text = t
			if i < len(s.columns) {
				all[i].name = s.columns[i].name
			}
		}
		return all, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	if t, err := decoder.Token(); err != nil || t != json.Delim('{') {
		return nil, errRow
	}
	var all []shownCell
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		text, ok := name.(string)
		if !ok {
			return nil, errRow
		}
		all = append(all, shownCell{text, strings.TrimSpace(string(value))})
	}
	return all, nil
}
