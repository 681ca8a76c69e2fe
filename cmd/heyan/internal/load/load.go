// Package load puts a server under load and measures what callers see.
//
// Two modes. Closed loop: each caller sends its next call when the last one is answered; the latency is that of the
// call. Fixed rate: call n is due at start + n/rate, whoever of the callers is free makes it, and its latency counts from
// when it was due. A server that stalls is then charged for the calls that had to wait, which a closed loop hides
// ("coordinated omission").
//
// Not guaranteed: that a fixed rate is reached. Where all callers are busy, calls start late, and their latency shows it.
package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Options is how to load. One of Duration and Count bounds a run; with both, what comes first.
type Options struct {
	Callers  int           // at once
	Duration time.Duration // 0 = not bounded
	Count    int64         // calls; 0 = not bounded
	Rate     float64       // calls a second over all callers; 0 = closed loop
	Now      func() time.Time
}

// Call makes call n and returns the outcome of each item of it: one for a call of its own, many for a batch. An outcome
// is a verdict or a reason. ok says that it is no failure.
type Call func(ctx context.Context, n int64) []Outcome

// Outcome is what became of one item.
type Outcome struct {
	Name string
	OK   bool
}

// Result is what callers saw.
type Result struct {
	Calls    int64
	Items    int64
	Elapsed  time.Duration
	Latency  Histogram
	Verdicts map[string]int64
	Failures map[string]int64
}

// Run loads until the bound or ctx, and waits for the calls under way.
func Run(ctx context.Context, o Options, call Call) *Result {
	started := o.Now()
	if o.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, started.Add(o.Duration))
		defer cancel()
	}
	var next atomic.Int64
	results := make([]*Result, o.Callers)
	var callers sync.WaitGroup
	for i := range results {
		results[i] = newResult()
		callers.Go(func() { o.caller(ctx, started, &next, call, results[i]) })
	}
	callers.Wait()
	total := newResult()
	total.Elapsed = o.Now().Sub(started)
	for _, r := range results {
		total.merge(r)
	}
	return total
}

func (o Options) caller(ctx context.Context, started time.Time, next *atomic.Int64, call Call, r *Result) {
	for ctx.Err() == nil {
		n := next.Add(1) - 1
		if o.Count > 0 && n >= o.Count {
			return
		}
		begin := o.Now()
		if o.Duration > 0 && begin.Sub(started) >= o.Duration {
			return
		}
		if o.Rate > 0 {
			due := started.Add(time.Duration(float64(n) / o.Rate * float64(time.Second)))
			if !sleep(ctx, due.Sub(begin)) {
				return
			}
			begin = due
		}
		// A call under way is finished: cutting it off at the bound would count as a failure of the server.
		outcomes := call(context.WithoutCancel(ctx), n)
		r.Latency.Add(o.Now().Sub(begin))
		r.Calls++
		r.Items += int64(len(outcomes))
		for _, outcome := range outcomes {
			if outcome.OK {
				r.Verdicts[outcome.Name]++
			} else {
				r.Failures[outcome.Name]++
			}
		}
	}
}

// sleep waits d and reports whether it could.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func newResult() *Result {
	return &Result{Verdicts: map[string]int64{}, Failures: map[string]int64{}}
}

func (r *Result) merge(other *Result) {
	r.Calls += other.Calls
	r.Items += other.Items
	r.Latency.Merge(&other.Latency)
	for name, n := range other.Verdicts {
		r.Verdicts[name] += n
	}
	for name, n := range other.Failures {
		r.Failures[name] += n
	}
}
