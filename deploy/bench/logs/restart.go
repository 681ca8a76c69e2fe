package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/heyan-project/heyan/deploy/bench/internal/sample"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// walSize is how much of a write-ahead file is filled: a server closes it at 64 MiB.
const walSize = 64<<20 - 1<<20

func fillOptions(dir string) netlog.Options {
	seed := make([]byte, ed25519.SeedSize)
	return netlog.Options{Dir: filepath.Join(dir, "log"), Node: "bench", Now: time.Now, SigningKey: ed25519.NewKeyFromSeed(seed), SealKey: make([]byte, 32)}
}

// fill fills a write-ahead file as 64 callers do, says so, and goes on until it is killed.
func fill(dir string) error {
	l, err := netlog.Create(fillOptions(dir), "benchmark")
	if err != nil {
		return err
	}
	day := sample.New(2, 1_000_000)
	var mu sync.Mutex
	written, said := 0, false
	next := func() ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		leaf, err := record.Append(nil, day.Next())
		if written += len(leaf) + frameBytes; written > walSize && !said {
			said = true
			fmt.Println("full")
		}
		return leaf, err
	}
	errs := make([]error, 64)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			for errs[i] == nil {
				leaf, err := next()
				var ticket netlog.Ticket
				if err == nil {
					ticket, err = l.Append(leaf)
				}
				if err == nil {
					err = ticket.Wait(context.Background())
				}
				errs[i] = err
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// frameBytes is about what a record costs in a write-ahead file beside its own bytes.
const frameBytes = 10

// restarts kills a writer with a full write-ahead file, and opens what it left, cold, in each round.
func (b *bench) restarts(ctx context.Context) error {
	dir, err := b.dir("killed")
	if err != nil {
		return err
	}
	if err := b.killed(ctx, dir); err != nil {
		return err
	}
	size, err := sizeOf(dir, "log/wal")
	if err != nil {
		return err
	}
	var took []float64
	var records uint64
	for n := range b.rounds {
		copied := filepath.Join(b.work, fmt.Sprintf("restart-%d", n))
		if err := errors.Join(os.CopyFS(copied, os.DirFS(dir)), evict(copied)); err != nil {
			return err
		}
		began := time.Now()
		l, recovery, err := netlog.Open(fillOptions(copied))
		if err != nil {
			return err
		}
		took = append(took, time.Since(began).Seconds()*1000)
		records = recovery.Size
		if err := errors.Join(l.Close(), os.RemoveAll(copied)); err != nil {
			return err
		}
	}
	b.say("restarts on %d MiB of write-ahead files, %d records", size>>20, records)
	b.add(fmt.Sprintf("start after kill -9 with %d MiB of write-ahead files", size>>20), "ms", "≤ 1000", took)
	return nil
}

// killed runs fill in a process of its own and kills it.
func (b *bench) killed(ctx context.Context, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-work", dir, "fill")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil && strings.TrimSpace(line) != "full" {
		err = fmt.Errorf("the process that is to be killed says %q", line)
	}
	err = errors.Join(err, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	return err
}
