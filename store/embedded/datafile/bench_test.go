package datafile_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/heyan-project/heyan/store/embedded/datafile"
)

// links is how many digests a record holds in the benchmarks: a person with two other values.
const links = 2

func benchRow(rng *rand.Rand, record []byte) (anchor, []byte) {
	a := randomAnchor(rng)
	record = record[:0]
	for kind := range links {
		digest := randomAnchor(rng)
		record = append(append(record, byte(kind)), digest[:]...)
	}
	return a, record
}

func buildBench(b *testing.B, people int) (*datafile.Reader, []anchor) {
	path := filepath.Join(b.TempDir(), "f")
	w, err := datafile.Create(path, header, key(1), datafile.Options{})
	must(b, err)
	rng := rand.New(rand.NewPCG(1, 1))
	var sample []anchor
	var record []byte
	for i := range people {
		var a anchor
		a, record = benchRow(rng, record)
		must(b, w.Add(a, record))
		if i%max(1, people/100_000) == 0 {
			sample = append(sample, a)
		}
	}
	info, err := w.Finish()
	must(b, err)
	r := open(b, path)
	b.Logf("%d anchors: %.3f × 32 bytes a digest", people, float64(info.Bytes)/float64(32*people*(links+1)))
	rng.Shuffle(len(sample), func(i, j int) { sample[i], sample[j] = sample[j], sample[i] })
	return r, sample
}

func BenchmarkLookup(b *testing.B) {
	for _, people := range []int{10_000, 1_000_000} {
		r, sample := buildBench(b, people)
		b.Run(fmt.Sprintf("%d/hit", people), func(b *testing.B) {
			dst := make([]byte, 0, 1024)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, found, err := r.Lookup(sample[i%len(sample)], dst); !found || err != nil {
					b.Fatal(found, err)
				}
			}
		})
		b.Run(fmt.Sprintf("%d/miss", people), func(b *testing.B) {
			dst := make([]byte, 0, 1024)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				a := sample[i%len(sample)]
				a[9] ^= 0x55
				if _, found, err := r.Lookup(a, dst); found || err != nil {
					b.Fatal(found, err)
				}
			}
		})
	}
}

// BenchmarkBuild counts rows, Finish included. Beside it a loop of the four HMACs that an importer
// computes for a row, which the file should not double.
func BenchmarkBuild(b *testing.B) {
	run := func(memory int) func(*testing.B) {
		return func(b *testing.B) {
			w, err := datafile.Create(filepath.Join(b.TempDir(), "f"), header, key(1), datafile.Options{Memory: memory})
			must(b, err)
			rng := rand.New(rand.NewPCG(1, 1))
			var record []byte
			b.ReportAllocs()
			for range b.N { // b.Loop would leave Finish out
				var a anchor
				a, record = benchRow(rng, record)
				if err := w.Add(a, record); err != nil {
					b.Fatal(err)
				}
			}
			_, err = w.Finish()
			must(b, err)
		}
	}
	b.Run("memory", run(0))
	b.Run("spilling", run(16<<20))
	b.Run("four HMACs", func(b *testing.B) {
		mac := hmac.New(sha256.New, key(1))
		value := make([]byte, 60)
		var sum []byte
		for i := 0; b.Loop(); i++ {
			binary.BigEndian.PutUint64(value, uint64(i))
			for range 4 {
				mac.Reset()
				mac.Write(value)
				sum = mac.Sum(sum[:0])
			}
		}
	})
}
