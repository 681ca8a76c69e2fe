package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/cmd/heyan/internal/rows"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// Bounds of one message of an import. Rows of full length reach the bytes first; 60 KiB passes where a server takes
// the 64 KiB of an ordinary message.
const (
	chunkRows  = 1000
	chunkBytes = 60 << 10
)

// inputFile is one file of an import.
type inputFile struct {
	path   string
	reader *rows.Reader
	count  *counting
	close  io.Closer
	size   int64
	first  uint64 // number of its first row in the whole import
}

func openSource(path, format string, stdin io.Reader) (*inputFile, error) {
	kind := rows.Format(format)
	if format == "auto" {
		var ok bool
		if kind, ok = rows.FormatOf(path); !ok {
			return nil, usageError("the name of a file does not tell its format", "say --format csv or --format jsonl")
		}
	}
	s := &inputFile{path: path, count: &counting{Reader: stdin}, close: io.NopCloser(stdin)}
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		s.count, s.close, s.size = &counting{Reader: file}, file, sizeOf(file)
	}
	var err error
	if s.reader, err = rows.NewReader(s.count, kind); err != nil {
		return nil, errors.Join(usageError(path+": "+err.Error(), ""), s.close.Close())
	}
	return s, nil
}

// locate finds the file and its own row number of a row of the whole import.
func locate(sources []*inputFile, row uint64) (string, uint64) {
	for i := len(sources) - 1; i >= 0; i-- {
		if s := sources[i]; s.first > 0 && row >= s.first {
			return s.path, row - s.first + 1
		}
	}
	return "", row
}

// upload sends rows. Rows of one message follow each other, so that one number is enough for all: a rejected row ends
// a message.
type upload struct {
	stream  heyanv1.AdminService_ImportRecordsClient
	rejects *rejects
	strict  bool
	now     time.Time
	bar     *output.Progress

	row   uint64 // number of the newest row, from 1
	chunk []*heyanv1.ImportRows_Row
	first uint64 // number of the chunk's first row
	size  int    // of the chunk
}

func (u *upload) run(header *heyanv1.ImportHeader, sources []*inputFile) (*heyanv1.ImportRecordsResponse, error) {
	err := u.stream.Send(&heyanv1.ImportRecordsRequest{Part: &heyanv1.ImportRecordsRequest_Header{Header: header}})
	for _, s := range sources {
		if err != nil {
			break
		}
		err = u.file(s)
	}
	if err == nil {
		err = u.flush()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	// io.EOF from a send says that the server has ended the stream; its status comes here.
	return u.stream.CloseAndRecv()
}

func (u *upload) file(s *inputFile) error {
	s.first = u.row + 1
	told := int64(0)
	for {
		row, problem, err := s.reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &exitError{exitUsage, s.path + ": cannot be read to its end", ""}
		}
		u.row++
		u.bar.Add(s.count.read - told)
		told = s.count.read
		problems := []rows.Problem{}
		if problem != nil {
			problems = append(problems, *problem)
		} else {
			problems = append(problems, row.Check(u.now)...)
		}
		if len(problems) == 0 {
			err = u.add(&heyanv1.ImportRows_Row{Fields: row.Fields, PlateKind: row.PlateKind})
		} else {
			err = u.reject(s, problems)
		}
		if err != nil {
			return err
		}
	}
}

func (u *upload) reject(s *inputFile, problems []rows.Problem) error {
	number := u.row - s.first + 1
	for _, p := range problems {
		u.rejects.add(u.row, s.path, number, p.Field, p.Reason)
	}
	u.rejects.here++
	if u.strict {
		text := strings.TrimSpace(fmt.Sprintf("%s: row %d: %s %s", s.path, number, problems[0].Field, problems[0].Reason))
		return &exitError{exitNo, text, "nothing was imported (--strict)"}
	}
	return u.flush()
}

func (u *upload) add(row *heyanv1.ImportRows_Row) error {
	size := proto.Size(row) + 4 // tag and length
	if len(u.chunk) == chunkRows || u.size+size > chunkBytes {
		if err := u.flush(); err != nil {
			return err
		}
	}
	if len(u.chunk) == 0 {
		u.first = u.row
	}
	u.chunk, u.size = append(u.chunk, row), u.size+size
	return nil
}

func (u *upload) flush() error {
	if len(u.chunk) == 0 {
		return nil
	}
	err := u.stream.Send(&heyanv1.ImportRecordsRequest{Part: &heyanv1.ImportRecordsRequest_Rows{
		Rows: &heyanv1.ImportRows{FirstRow: u.first, Rows: u.chunk},
	}})
	u.chunk, u.size = u.chunk[:0], 0
	return err
}

// fieldName is a field's name as in a header, "" for none.
func fieldName(f heyanv1.Field) string { return strings.ToLower(enumText(f)) }
