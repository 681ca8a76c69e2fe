package load

import (
	"math"
	"math/bits"
	"time"
)

// Buckets are logarithmic with 64 steps to each power of two, as HdrHistogram's: a latency is known to 1.6 %.
const (
	stepBits = 6
	steps    = 1 << stepBits
	buckets  = (64 - stepBits) * steps
)

// Histogram counts latencies. The zero Histogram is empty. It is not safe for concurrent use: each caller has its own.
type Histogram struct {
	counts [buckets]int64
	count  int64
	sum    float64 // nanoseconds
	max    time.Duration
}

// Add counts one latency; a negative one counts as 0.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.count++
	h.sum += float64(d)
	h.max = max(h.max, d)
}

// Merge adds what other counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.sum += other.sum
	h.max = max(h.max, other.max)
}

// Count is how many were counted.
func (h *Histogram) Count() int64 { return h.count }

// Max is the longest, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean is the mean, 0 of none.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return time.Duration(h.sum / float64(h.count))
}

// Quantile is the upper edge of the bucket that holds the q-th share, 0 < q ≤ 1, and never above the longest.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(int64(math.Ceil(q*float64(h.count))), 1)
	seen := int64(0)
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(time.Duration(upperEdge(i)), h.max)
		}
	}
	return h.max
}

// bucketOf places v: below 2·steps each value has its own bucket, above that a power of two has steps of them.
func bucketOf(v uint64) int {
	shift := max(bits.Len64(v)-stepBits-1, 0)
	return shift*steps + int(v>>shift)
}

// upperEdge is the largest value of a bucket.
func upperEdge(i int) uint64 {
	if i < 2*steps {
		return uint64(i)
	}
	shift := i/steps - 1
	return (uint64(i-shift*steps)+1)<<shift - 1
}
