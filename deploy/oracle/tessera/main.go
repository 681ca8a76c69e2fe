// Command tessera measures durable appends of Tessera's POSIX driver: so many writers, each waiting until its entry has
// its index, which Tessera gives out when the entry is durable. It prints JSON.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"
)

// result is what is printed.
type result struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("tessera: ")
	klog.LogToStderr(false)
	klog.SetOutput(nothing{})
	dir := flag.String("dir", "", "a directory that does not exist yet")
	file := flag.String("leaf", "", "a file with the bytes of an entry; its last eight are changed for each")
	seconds := flag.Float64("seconds", 1, "how long")
	writers := flag.Int("writers", 64, "how many")
	batch := flag.Uint("batch", tessera.DefaultBatchMaxSize, "entries in a batch at most")
	age := flag.Duration("age", tessera.DefaultBatchMaxAge, "how long a batch waits to be filled")
	flag.Parse()
	leaf, err := os.ReadFile(*file)
	if err != nil {
		log.Fatal(err)
	}
	r, err := measure(*dir, leaf, time.Duration(*seconds*float64(time.Second)), *writers, *batch, *age)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// nothing swallows what klog says.
type nothing struct{}

func (nothing) Write(b []byte) (int, error) { return len(b), nil }

func measure(dir string, leaf []byte, d time.Duration, writers int, batch uint, age time.Duration) (result, error) {
	ctx := context.Background()
	secret, _, err := note.GenerateKey(rand.Reader, "bench")
	if err != nil {
		return result{}, err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return result{}, err
	}
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return result{}, err
	}
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().WithCheckpointSigner(signer).
		WithBatching(batch, age).WithCheckpointInterval(time.Second))
	if err != nil {
		return result{}, err
	}
	latencies, errs := make([][]time.Duration, writers), make([]error, writers)
	began := time.Now()
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for at := time.Now(); at.Sub(began) < d && errs[w] == nil; {
				entry := slices.Clone(leaf)
				binary.BigEndian.PutUint64(entry[len(entry)-8:], uint64(w)<<32|uint64(len(latencies[w])))
				_, errs[w] = appender.Add(ctx, tessera.NewEntry(entry))()
				now := time.Now()
				latencies[w] = append(latencies[w], now.Sub(at))
				at = now
			}
		})
	}
	group.Wait()
	elapsed := time.Since(began)
	if err := errors.Join(append(errs, shutdown(ctx))...); err != nil {
		return result{}, err
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	return result{float64(len(all)) / elapsed.Seconds(), all[len(all)/2].Seconds() * 1000}, nil
}
