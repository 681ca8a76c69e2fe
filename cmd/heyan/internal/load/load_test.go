package load

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBuckets(t *testing.T) {
	previous := -1
	for _, v := range []uint64{0, 1, 63, 64, 127, 128, 129, 130, 255, 256, 1000, 1 << 20, 1<<20 + 1, 1 << 40, 1<<63 - 1} {
		i := bucketOf(v)
		if i < previous || i >= buckets {
			t.Fatalf("bucketOf(%d) = %d after %d", v, i, previous)
		}
		previous = i
		if edge := upperEdge(i); edge < v || float64(edge-v) > float64(v)/steps {
			t.Errorf("%d is counted as up to %d", v, edge)
		}
	}
}

func TestQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h, other Histogram
	var all []time.Duration
	for range 10000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
		all = append(all, d)
		if random.IntN(2) == 0 {
			h.Add(d)
		} else {
			other.Add(d)
		}
	}
	h.Merge(&other)
	slices.Sort(all)
	for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(int(q*10000)-1, 0)]
		got := h.Quantile(q)
		if got < want || float64(got-want) > float64(want)/32 {
			t.Errorf("quantile %v = %v, want %v", q, got, want)
		}
	}
	if h.Count() != 10000 || h.Max() != all[9999] || h.Quantile(1) != h.Max() {
		t.Errorf("count %d, max %v", h.Count(), h.Max())
	}
	var empty Histogram
	if empty.Quantile(0.5) != 0 || empty.Mean() != 0 {
		t.Error("an empty histogram is not 0")
	}
}

func TestClosedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Run(t.Context(), Options{Callers: 4, Duration: time.Second, Now: time.Now},
			func(_ context.Context, n int64) []Outcome {
				time.Sleep(10 * time.Millisecond)
				return []Outcome{{"MATCH", true}, {"QUOTA_EXCEEDED", n < 0}}
			})
		if r.Calls != 400 || r.Items != 800 || r.Verdicts["MATCH"] != 400 || r.Failures["QUOTA_EXCEEDED"] != 400 {
			t.Errorf("%d calls, %d items, %v, %v", r.Calls, r.Items, r.Verdicts, r.Failures)
		}
		if r.Latency.Max() != 10*time.Millisecond || r.Elapsed != time.Second {
			t.Errorf("max %v, elapsed %v", r.Latency.Max(), r.Elapsed)
		}
	})
}

func TestCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		seen := map[int64]int{}
		r := Run(t.Context(), Options{Callers: 7, Count: 100, Now: time.Now}, func(_ context.Context, n int64) []Outcome {
			mu.Lock()
			defer mu.Unlock()
			seen[n]++
			return []Outcome{{"MATCH", true}}
		})
		if r.Calls != 100 || len(seen) != 100 {
			t.Errorf("%d calls, %d numbers", r.Calls, len(seen))
		}
	})
}

// A stall of the server is charged to every call that was due meanwhile.
func TestFixedRateCountsFromWhenACallIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Run(t.Context(), Options{Callers: 1, Count: 100, Rate: 100, Now: time.Now},
			func(_ context.Context, n int64) []Outcome {
				if n == 0 {
					time.Sleep(500 * time.Millisecond)
				}
				return []Outcome{{"MATCH", true}}
			})
		if r.Elapsed != 990*time.Millisecond {
			t.Errorf("elapsed %v", r.Elapsed)
		}
		// Calls 1 to 49 were due during the stall and waited 490 to 10 ms; calls 50 to 99 did not wait.
		if got := r.Latency.Quantile(0.75); got < 240*time.Millisecond || got > 260*time.Millisecond {
			t.Errorf("75 %% were answered within %v, want 250ms", got)
		}
	})
}

func TestCancelEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		cut := 0
		Run(ctx, Options{Callers: 1, Rate: 0.75, Now: time.Now}, func(ctx context.Context, _ int64) []Outcome {
			if sleep(ctx, 1500*time.Millisecond); ctx.Err() != nil {
				cut++
			}
			return nil
		})
		if cut > 0 {
			t.Error("a call under way was cut off")
		}
	})
}
