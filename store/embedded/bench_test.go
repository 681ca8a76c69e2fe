package embedded

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// run runs f n times in 64 goroutines.
func run(b *testing.B, f func(i int) error) {
	var next atomic.Int64
	var workers sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range 64 {
		workers.Go(func() {
			for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
				if err := f(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
	b.StopTimer()
}

// BenchmarkVerification is Begin, Commit and Wait of 64 callers, each request of a new person with a new consent,
// or under a consent on file; on the disk, or in memory to see what the flushes cost. "prepared" is the share of
// the benchmark itself: making the request and its answer.
func BenchmarkVerification(b *testing.B) {
	for name, base := range map[string]func() vfs.FS{"disk": func() vfs.FS { return nil }, "memory": func() vfs.FS { return vfs.NewMem() }} {
		b.Run(name+"/new consent", func(b *testing.B) {
			s := opened(b, created(b, base()))
			defer s.Close()
			run(b, func(i int) error {
				_, err := verify(b, s, i)
				return err
			})
		})
		b.Run(name+"/consent on file", func(b *testing.B) {
			s := opened(b, created(b, base()))
			defer s.Close()
			for i := range 1000 {
				_, err := verify(b, s, -1-i)
				must(b, err)
			}
			run(b, func(i int) error {
				r := request(i)
				of := -1 - i%1000
				r.Handles[0], r.Consent.Evidence = sumOf("handle", of), sumOf("evidence", of)
				begun, err := s.Begin(b.Context(), r)
				if err != nil {
					return err
				}
				c := answerTo(b, r, begun, i)
				c.NewConsent = nil
				wait, err := s.Commit(b.Context(), c)
				if err != nil {
					return err
				}
				return wait()
			})
		})
	}
	b.Run("prepared", func(b *testing.B) {
		run(b, func(i int) error {
			r := request(i)
			r.Now = answerTo(b, r, ledger.Begun{}, i).Now
			return nil
		})
	})
}

func BenchmarkReplay(b *testing.B) {
	s := opened(b, created(b, nil))
	defer s.Close()
	for i := range 1000 {
		_, err := verify(b, s, i)
		must(b, err)
	}
	run(b, func(i int) error {
		_, err := s.Begin(b.Context(), request(i%1000))
		return err
	})
}

func BenchmarkLookup(b *testing.B) {
	s := opened(b, created(b, nil))
	defer s.Close()
	i, err := s.ImportDataset(b.Context(), store.ImportInfo{Dataset: "people", Generation: 1})
	must(b, err)
	anchor := func(n int) digest.Digest {
		return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	}
	const people = 200_000
	for n := range people {
		must(b, i.Add(anchor(n), make([]byte, 67)))
	}
	_, _, err = i.Finish()
	must(b, err)
	for name, off := range map[string]int{"hit": 0, "miss": people} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				if _, err := s.Lookup(b.Context(), "people", 1, anchor(n%people+off), func([]byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
