package main

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// rejects counts what was left out of an import and why, and lists it in a file, by row, without values. Rows that are
// rejected here go to the disk at once, since they may be all of a file; the few thousand that a server names come when the
// import has ended, and are put among them then.
type rejects struct {
	path    string
	file    *os.File
	buffer  *bufio.Writer
	writer  *csv.Writer
	late    []reject
	here    int64 // rows rejected before sending
	reasons map[string]int64
}

// reject is one row, by its number in the whole import.
type reject struct {
	row   uint64
	cells []string
}

// newRejects begins the file. Without a path it counts only.
func newRejects(path string) (*rejects, error) {
	r := &rejects{path: path, reasons: map[string]int64{}}
	if path == "" {
		return r, nil
	}
	file, err := os.Create(path + ".part")
	if err != nil {
		return nil, err
	}
	r.file, r.buffer = file, bufio.NewWriter(file)
	r.writer = csv.NewWriter(r.buffer)
	return r, nil
}

func (r *rejects) count(field, reason string) { r.reasons[strings.TrimSpace(field+" "+reason)]++ }

// add lists a row of the import, which is a row of a file; rows come in order.
func (r *rejects) add(whole uint64, path string, row uint64, field, reason string) {
	r.count(field, reason)
	if r.writer != nil {
		_ = r.writer.Write(append([]string{strconv.FormatUint(whole, 10)}, cellsOf(path, row, field, reason)...)) // kept for close
	}
}

// addLate lists a row that the server rejected.
func (r *rejects) addLate(whole uint64, path string, row uint64, field, reason string) {
	r.count(field, reason)
	r.late = append(r.late, reject{whole, cellsOf(path, row, field, reason)})
}

func cellsOf(path string, row uint64, field, reason string) []string {
	return []string{path, strconv.FormatUint(row, 10), field, reason}
}

// close writes the file and returns the first error of any write.
func (r *rejects) close() error {
	if r.file == nil {
		return nil
	}
	defer os.Remove(r.file.Name())
	defer r.file.Close()
	r.writer.Flush()
	if err := errors.Join(r.writer.Error(), r.buffer.Flush()); err != nil {
		return err
	}
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	out, err := os.Create(r.path)
	if err != nil {
		return err
	}
	buffer := bufio.NewWriter(out)
	return errors.Join(r.merge(csv.NewReader(bufio.NewReader(r.file)), csv.NewWriter(buffer)), buffer.Flush(), out.Close())
}

// merge writes both lists as one, by row.
func (r *rejects) merge(early *csv.Reader, to *csv.Writer) error {
	slices.SortStableFunc(r.late, func(a, b reject) int { return cmp.Compare(a.row, b.row) })
	write := func(cells []string) { _ = to.Write(cells) } // kept for Error
	write([]string{"file", "row", "field", "reason"})
	early.ReuseRecord = true
	for {
		cells, err := early.Read()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		row := ^uint64(0)
		if err == nil {
			if row, err = strconv.ParseUint(cells[0], 10, 64); err != nil {
				return err
			}
		}
		for len(r.late) > 0 && r.late[0].row < row {
			write(r.late[0].cells)
			r.late = r.late[1:]
		}
		if cells == nil {
			to.Flush()
			return to.Error()
		}
		write(cells[1:])
	}
}
