package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/deploy/bench/internal/sample"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
	"github.com/heyan-project/heyan/store/netlog/export"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// world is a sealed log, and the same records as compressed JSON Lines.
type world struct {
	*bench
	dir, lines string
	sealKey    []byte
	sealed     uint64
	addresses  map[netip.Addr]int
	clients    map[string]int
}

// furnish invents a day of records, lets the product append and seal them, and writes the sealed ones as JSON Lines.
func (b *bench) furnish(ctx context.Context) (*world, error) {
	w := &world{bench: b, dir: filepath.Join(b.work, "log"), lines: filepath.Join(b.work, "records.jsonl.zst"), sealKey: make([]byte, 32),
		addresses: make(map[netip.Addr]int), clients: make(map[string]int)}
	if _, err := rand.Read(w.sealKey); err != nil {
		return nil, err
	}
	if err := w.seal(ctx); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	if err := w.writeLines(ctx); err != nil {
		return nil, fmt.Errorf("writing JSON Lines: %w", err)
	}
	return w, nil
}

// commit is how many records go into one commit: some more than callers usually wait.
const commit = 256

// seal fills the log. Nothing is flushed while it is: what is measured later is flushed and cold.
func (w *world) seal(ctx context.Context) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	var now atomic.Int64 // the time of the last record: segments end where a server would end them
	now.Store(sample.Start.UnixNano())
	l, err := netlog.Create(netlog.Options{Dir: w.dir, Node: "bench", Now: func() time.Time { return time.Unix(0, now.Load()) },
		SigningKey: key, SealKey: w.sealKey, FS: disktest.NoSync()}, "benchmark")
	if err != nil {
		return err
	}
	defer l.Close()
	day := sample.New(1, w.records)
	var raw int
	for range w.records {
		leaf, err := record.Append(nil, day.Next())
		if err != nil {
			return err
		}
		raw += len(leaf)
		now.Store(day.Now().UnixNano())
		for {
			ticket, err := l.Append(leaf)
			if errors.Is(err, netlog.ErrBusy) {
				time.Sleep(time.Millisecond)
				continue
			}
			if err == nil && ticket.Index()%commit == 0 {
				err = ticket.Wait(ctx)
			}
			if err != nil {
				return err
			}
			break
		}
	}
	w.say("%d records appended", w.records)
	if err := l.Seal(ctx); err != nil {
		return err
	}
	segments := l.Segments()
	w.sealed = segments[len(segments)-1].End
	size, err := sizeOf(w.dir, "segments", "tile")
	if err != nil {
		return err
	}
	w.say("%d of them sealed in %d segments of %d MiB", w.sealed, len(segments), size>>20)
	w.add("bytes a record at rest, sealed, with index, manifest and tiles", "B", "≤ 110", []float64{float64(size) / float64(w.sealed)})
	w.add("bytes a record before that", "B", "", []float64{float64(raw) / float64(w.records)})
	return nil
}

// sizeOf adds up the files of some folders.
func sizeOf(dir string, folders ...string) (size int64, err error) {
	for _, folder := range folders {
		err = errors.Join(err, filepath.WalkDir(filepath.Join(dir, folder), func(_ string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err == nil {
				size += info.Size()
			}
			return err
		}))
	}
	return size, err
}

func (w *world) open() (*netlog.Reader, error) {
	return netlog.OpenReader(netlog.ReaderOptions{Dir: w.dir, SealKey: w.sealKey})
}

// writeLines writes the sealed records with the columns of an export, without their bytes, through zstd.
func (w *world) writeLines(ctx context.Context) error {
	r, err := w.open()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.CommandContext(ctx, "zstd", "-q", "-o", w.lines)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	out := &withoutLeaf{out: bufio.NewWriterSize(in, 1<<20)}
	rows, err := export.NewRows(out, export.Layout{Format: export.JSONL, Lang: export.English})
	if err != nil {
		return err
	}
	err = r.Read(ctx, 0, w.sealed, func(index uint64, leaf []byte) error {
		rec, err := record.Parse(leaf)
		if err != nil {
			return err
		}
		w.addresses[rec.Source.IP]++
		w.clients[rec.Actor.ID]++
		return rows.Row(index, leaf, "")
	})
	if err := errors.Join(err, rows.Flush(), out.end(), in.Close(), cmd.Wait()); err != nil {
		return err
	}
	info, err := os.Stat(w.lines)
	if err == nil {
		w.say("the same as JSON Lines: %d bytes a record, compressed %d", uint64(out.written)/w.sealed, uint64(info.Size())/w.sealed)
	}
	return err
}

// withoutLeaf leaves the member "leaf", the last of each line, out of lines. Nobody would keep it in a log for grep.
type withoutLeaf struct {
	out     *bufio.Writer
	rest    []byte
	written int64
}

func (o *withoutLeaf) Write(b []byte) (int, error) {
	n := len(b)
	for {
		line, after, whole := bytes.Cut(b, []byte("\n"))
		if o.rest = append(o.rest, line...); !whole {
			return n, nil
		}
		b = after
		shown, _, found := bytes.Cut(o.rest, []byte(`,"leaf":"`))
		if !found {
			return 0, errors.New("a row without its bytes")
		}
		o.written += int64(len(shown)) + 2
		_, err := o.out.Write(shown)
		_, err2 := io.WriteString(o.out, "}\n")
		if err := errors.Join(err, err2); err != nil {
			return 0, err
		}
		o.rest = o.rest[:0]
	}
}

func (o *withoutLeaf) end() error { return o.out.Flush() }
