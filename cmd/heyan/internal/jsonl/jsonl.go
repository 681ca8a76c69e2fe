// Package jsonl answers lines with lines: one line of JSON in, one line of JSON out, in order, many at once.
//
// [Each] reads ahead as far as there are workers for, and writes an answer as soon as all before it are written. It
// flushes whenever it has to wait, so that a program that sends one line and waits for the answer gets it.
//
// Guaranteed: as many lines out as in, the i-th for the i-th, whatever a line holds; a line longer than the limit is
// read to its end without being kept. An empty line is a line. Not guaranteed: that answers are computed in order.
package jsonl

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
)

// MaxLine is the longest line in bytes, line feed not counted. A request is at most 64 KiB on the wire, and JSON
// writes a byte as six at most.
const MaxLine = 512 << 10

// ErrTooLong is what answer is given for a line that is longer than [MaxLine].
var ErrTooLong = errors.New("line too long")

// Answer makes the line, without line feed, that answers a line. err is nil or [ErrTooLong]; then line is nil. It is
// called by several goroutines, and owns line.
type Answer func(ctx context.Context, line []byte, err error) []byte

// Each answers every line of in on out with up to workers at once. It returns the first error of writing, reading or
// ctx. Where it returns early, a goroutine stays until its read of in returns.
func Each(ctx context.Context, in io.Reader, out io.Writer, workers int, answer Answer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// One answer is in the writer's hand, the others wait here: so many are computed at once.
	pending := make(chan chan []byte, workers-1)
	var readError error // written before pending is closed
	go func() {
		defer close(pending)
		readError = read(ctx, in, pending, answer)
	}()
	writer := bufio.NewWriterSize(out, 64<<10)
	for {
		done, open, err := receive(ctx, pending, writer.Flush)
		if err != nil {
			return errors.Join(err, writer.Flush())
		}
		if !open {
			return errors.Join(readError, writer.Flush())
		}
		line, _, err := receive(ctx, done, writer.Flush)
		if err != nil {
			return errors.Join(err, writer.Flush())
		}
		if _, err := writer.Write(append(line, '\n')); err != nil {
			return err
		}
	}
}

// read starts an answer for each line of in, in order.
func read(ctx context.Context, in io.Reader, pending chan<- chan []byte, answer Answer) error {
	reader := bufio.NewReaderSize(in, 64<<10)
	for {
		line, some, tooLong, err := readLine(reader)
		if some {
			done := make(chan []byte, 1)
			select {
			case pending <- done:
			case <-ctx.Done():
				return ctx.Err()
			}
			go func() {
				if tooLong {
					done <- answer(ctx, nil, ErrTooLong)
					return
				}
				done <- answer(ctx, line, nil)
			}()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// receive takes the next value of c, and calls idle before it has to wait for it.
func receive[T any](ctx context.Context, c <-chan T, idle func() error) (value T, open bool, err error) {
	select {
	case value, open = <-c:
		return value, open, nil
	default:
	}
	if err := idle(); err != nil {
		return value, false, err
	}
	select {
	case value, open = <-c:
		return value, open, nil
	case <-ctx.Done():
		return value, false, ctx.Err()
	}
}

// readLine returns the next line without its line feed, in memory of its own. some is false where the input ended
// before one began.
func readLine(reader *bufio.Reader) (line []byte, some, tooLong bool, err error) {
	for {
		part, err := reader.ReadSlice('\n')
		some = some || len(part) > 0
		if !tooLong {
			line = append(line, part...)
		}
		if len(line) > MaxLine+len("\r\n") {
			line, tooLong = nil, true
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		return line, some, tooLong || len(line) > MaxLine, err
	}
}
