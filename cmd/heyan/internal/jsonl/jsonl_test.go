package jsonl

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// echo answers the earlier lines later than the later ones.
func echo(_ context.Context, line []byte, err error) []byte {
	if err != nil {
		return []byte("TOO LONG")
	}
	time.Sleep(time.Duration(100-len(line)) * time.Millisecond)
	return append([]byte("<"), append(line, '>')...)
}

func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in, want strings.Builder
		for i := range 90 {
			line := strings.Repeat("x", i)
			in.WriteString(line + "\n")
			want.WriteString("<" + line + ">\n")
		}
		var out bytes.Buffer
		if err := Each(t.Context(), strings.NewReader(in.String()), &out, 7, echo); err != nil {
			t.Fatal(err)
		}
		if out.String() != want.String() {
			t.Errorf("got\n%s", out.String())
		}
	})
}

func TestWorkersBoundWhatRunsAtOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			var running, most atomic.Int64
			err := Each(t.Context(), strings.NewReader(strings.Repeat("a\n", 50)), io.Discard, workers,
				func(context.Context, []byte, error) []byte {
					now := running.Add(1)
					defer running.Add(-1)
					for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
					}
					time.Sleep(time.Second)
					return nil
				})
			if err != nil {
				t.Fatal(err)
			}
			if most.Load() != int64(workers) {
				t.Errorf("%d ran at once, want %d", most.Load(), workers)
			}
		})
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("y", MaxLine)
	for name, c := range map[string]struct{ in, want string }{
		"none":          {"", ""},
		"no final feed": {"a", "<a>\n"},
		"crlf":          {"a\r\nb\r\n", "<a>\n<b>\n"},
		"empty lines":   {"\n\na\n", "<>\n<>\n<a>\n"},
		"at the limit":  {long + "\na\n", "<" + long + ">\n<a>\n"},
		"over it":       {long + "z\na\n", "TOO LONG\n<a>\n"},
		"far over it":   {long + long + "z\r\na", "TOO LONG\n<a>\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				if err := Each(t.Context(), strings.NewReader(c.in), &out, 3, echo); err != nil {
					t.Fatal(err)
				}
				if out.String() != c.want {
					t.Errorf("got %d bytes, want %d", out.Len(), len(c.want))
				}
			})
		})
	}
}

// A program that sends a line and waits gets its answer while the input stays open.
func TestDialogue(t *testing.T) {
	inReader, inWriter := io.Pipe()
	outReader, outWriter := io.Pipe()
	finished := make(chan error, 1)
	go func() { finished <- Each(t.Context(), inReader, outWriter, 4, echo) }()
	answers := bufio.NewReader(outReader)
	for i := range 5 {
		fmt.Fprintf(inWriter, "%d\n", i)
		answer, err := answers.ReadString('\n')
		if want := fmt.Sprintf("<%d>\n", i); err != nil || answer != want {
			t.Fatalf("answer %q, %v; want %q", answer, err, want)
		}
	}
	if err := inWriter.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestErrorsEndIt(t *testing.T) {
	inReader, inWriter := io.Pipe()
	defer inWriter.Close()
	go func() { _, _ = inWriter.Write([]byte("a\nb\n")) }()
	if err := Each(t.Context(), inReader, brokenWriter{}, 2, echo); !errors.Is(err, errBroken) {
		t.Errorf("Each = %v, want the writer's error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	open, hold := io.Pipe()
	defer hold.Close()
	if err := Each(ctx, open, io.Discard, 2, echo); !errors.Is(err, context.Canceled) {
		t.Errorf("Each = %v, want Canceled", err)
	}
}
