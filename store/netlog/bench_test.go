package netlog

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/wal"
)

// bare is the baseline: a group commit of the same bytes that does one write and one flush and nothing else. With zeros
// it fills the file ahead as the log does, for comparison.
type bare struct {
	file  disk.File
	size  int64
	paved int64
	zeros []byte
	wake  chan struct{}
	mu    sync.Mutex
	queue []byte
	done  chan struct{}
	spare []byte
}

func newBare(b testing.TB, pave int) *bare {
	b.Helper()
	f, err := disk.OS().OpenFile(filepath.Join(b.TempDir(), "bare"), true)
	if err != nil {
		b.Fatal(err)
	}
	g := &bare{file: f, zeros: make([]byte, pave), wake: make(chan struct{}, 1), done: make(chan struct{})}
	go g.write()
	b.Cleanup(func() { close(g.wake); f.Close() })
	return g
}

func (g *bare) write() {
	for range g.wake {
		g.mu.Lock()
		queue, done := g.queue, g.done
		g.queue, g.done = g.spare[:0], make(chan struct{})
		g.mu.Unlock()
		out := queue
		if end := g.size + int64(len(queue)); end > g.paved {
			out = append(out, g.zeros...)
			g.paved = g.size + int64(len(out))
		}
		if _, err := g.file.WriteAt(out, g.size); err != nil {
			panic(err)
		}
		g.size += int64(len(queue))
		if err := g.file.Sync(); err != nil {
			panic(err)
		}
		g.spare = queue
		close(done)
	}
}

func (g *bare) append(leaf []byte) {
	g.mu.Lock()
	first := len(g.queue) == 0
	g.queue = append(g.queue, leaf...)
	done := g.done
	g.mu.Unlock()
	if first {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	<-done
}

// verifyLeaf is a record as an ordinary verification leaves it, without its commitment.
func verifyLeaf() []byte {
	r := record.Record{Time: moment, Event: record.VerificationVerify, Clock: record.Clock{State: record.ClockSynchronised, Offset: 1500},
		Actor:   record.Actor{Kind: record.ActorClient, ID: "shop-backend", Role: "client", Credential: "sha256:1f2e3d4c5b6a", AuthMethod: "mtls"},
		Session: "c-7f3a9b2e11", TraceID: [16]byte{1}, Action: "/heyan.v1.VerificationService/Verify",
		Object:  record.Object{Type: "verification", ID: "0195f3c0-7b1a-7c3e-9a51-2f8e6d4c3b2a"},
		Outcome: record.Outcome{Kind: record.Success}, Traffic: record.Traffic{BytesIn: 212, BytesOut: 340, Duration: 812345},
		Processing: &record.Processing{Product: "id2", Purpose: "onboarding", Fields: []string{"name", "id_number"}, ConsentUse: "cu-91d2",
			PolicyVersion: "2026-01", Verdict: "MATCH", Source: "registry", Dataset: "people/7", Billing: "BILLED"},
		Commitment: [32]byte{1}}
	b, err := record.Append(nil, &r)
	if err != nil {
		panic(err)
	}
	return b
}

// round lets writers append total records, each waiting for its own, and returns each append's duration.
func round(writers, total int, appendOne func()) []time.Duration {
	each := total / writers
	all := make([]time.Duration, writers*each)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				began := time.Now()
				appendOne()
				all[w*each+i] = time.Since(began)
			}
		})
	}
	wg.Wait()
	return all
}

// BenchmarkGroupCommit measures durable appends with tree, commitment and signature against the bare group commit of
// the same bytes, in turn within one run. Metrics: "x-bare" is the throughput ratio (more is better), "x-paved" the same
// against a baseline that fills its file ahead as the log does, "x-bare-p50" the ratio of the median latencies (less is
// better); medians over the rounds.
func BenchmarkGroupCommit(b *testing.B) {
	for _, writers := range []int{1, 64, 256} {
		for name, key := range map[string][]byte{"plain": nil, "sealed": sealing} {
			b.Run(fmt.Sprintf("%s/writers=%d", name, writers), func(b *testing.B) {
				opt := options(filepath.Join(b.TempDir(), "log"))
				opt.SealKey = key
				l := create(b, opt)
				g, paved := newBare(b, 0), newBare(b, wal.Pave)
				leaf := verifyLeaf()
				opening, content := make([]byte, record.OpeningSize), make([]byte, 80)
				total := max(writers*40, 400)
				var ratio, pavedRatio, p50 []float64
				var sum time.Duration
				for b.Loop() {
					began := time.Now()
					base := round(writers, total, func() { g.append(leaf) })
					then := time.Now()
					round(writers, total, func() { paved.append(leaf) })
					middle := time.Now()
					ours := round(writers, total, func() {
						if _, err := rand.Read(opening); err != nil {
							panic(err)
						}
						record.Commit(opening, content)
						ticket, err := l.Append(leaf)
						if err == nil {
							err = ticket.Wait(context.Background())
						}
						if err != nil {
							panic(err)
						}
					})
					end := time.Since(middle)
					sum += end
					ratio = append(ratio, float64(then.Sub(began))/float64(end))
					pavedRatio = append(pavedRatio, float64(middle.Sub(then))/float64(end))
					p50 = append(p50, float64(median(ours))/float64(median(base)))
				}
				b.ReportMetric(median(ratio), "x-bare")
				b.ReportMetric(median(pavedRatio), "x-paved")
				b.ReportMetric(median(p50), "x-bare-p50")
				b.ReportMetric(float64(total*len(ratio))/sum.Seconds(), "records/s")
				b.ReportMetric(float64(l.commits.Load())/float64(total*len(ratio)), "commits/record")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func median[T time.Duration | float64](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

// BenchmarkAppendMemory counts what one append allocates when nobody waits.
func BenchmarkAppendMemory(b *testing.B) {
	opt := options(filepath.Join(b.TempDir(), "log"))
	opt.MaxQueue = 1 << 30
	l := create(b, opt)
	leaf := verifyLeaf()
	b.SetBytes(int64(len(leaf)))
	b.ReportAllocs()
	for b.Loop() {
		ticket, err := l.Append(leaf)
		if err == ErrBusy {
			continue
		}
		if ticket.Index()%1000 == 0 {
			if err := ticket.Wait(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkOpen64MiB starts on a full write-ahead file that has no sidecar, as after kill -9.
func BenchmarkOpen64MiB(b *testing.B) {
	for name, perCommit := range map[string]int{"large commits": 1000, "commits of 8": 8} {
		b.Run(name, func(b *testing.B) {
			opt := options(filepath.Join(b.TempDir(), "log"))
			opt.FileSize = 1 << 40
			l := create(b, opt)
			leaf := verifyLeaf()
			for l.file.Size() < 64<<20-1<<20 && l.Size() < maxFileRecords-2000 {
				var last Ticket
				for range perCommit {
					var err error
					if last, err = l.Append(leaf); err != nil {
						b.Fatal(err)
					}
				}
				if err := last.Wait(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			bytes := l.file.Size()
			l.Close()
			b.SetBytes(bytes)
			for b.Loop() {
				r := newReader(opt.Dir, l.verifier, opt.SealKey)
				names, err := walNames(opt.Dir)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := r.recoverFile(names[0], true); err != nil {
					b.Fatal(err)
				}
				if err := r.checkHead(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	opt := options(filepath.Join(b.TempDir(), "log"))
	l := create(b, opt)
	leaf := verifyLeaf()
	for range 20 {
		var last Ticket
		for range 1000 {
			var err error
			if last, err = l.Append(leaf); err != nil {
				b.Fatal(err)
			}
		}
		if err := last.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := l.Verify(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(l.Size())*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
