package main

import (
	"fmt"
	"strings"

	"github.com/heyan-project/heyan/deploy/bench/internal/figure"
)

// ratios compares two servers in each round.
func (b *bench) ratios(of func(*run) float64, above string, aboveRun func(*run) bool, below string, belowRun func(*run) bool) []float64 {
	var values []float64
	for n := 1; n <= b.rounds; n++ {
		x, y := b.find(above, n, aboveRun), b.find(below, n, belowRun)
		if x != nil && y != nil && of(x) > 0 && of(y) > 0 {
			values = append(values, of(x)/of(y))
		}
	}
	return values
}

func perSecond(r *run) float64 { return r.PerSecond }
func serverCPU(r *run) float64 { return r.ServerCPU }
func p99(r *run) float64       { return r.P99 }

// compared are the figures of the rounds.
func (b *bench) compared() []figure.Figure {
	few, many := closed(callerCounts[0]), closed(callerCounts[1])
	return []figure.Figure{
		figure.New("throughput, 256 callers, against floor", "×", "≥ 0.80", b.ratios(perSecond, heyanName, many, floorName, many)),
		figure.New("throughput, 64 callers, against floor", "×", "≥ 0.75", b.ratios(perSecond, heyanName, few, floorName, few)),
		figure.New("throughput, 256 callers, against echo", "×", "≥ 0.70", b.ratios(perSecond, heyanName, many, echoName, many)),
		figure.New("throughput, 64 callers, against echo", "×", "", b.ratios(perSecond, heyanName, few, echoName, few)),
		figure.New("throughput, 256 callers, against tuned echo", "×", "", b.ratios(perSecond, heyanName, many, tunedName, many)),
		figure.New("throughput with stored consents, 256 callers, against floor", "×", "", b.ratios(perSecond, storedName, many, floorName, many)),
		figure.New("server CPU a call, 256 callers, against tuned echo", "×", "≤ 1.6", b.ratios(serverCPU, heyanName, many, tunedName, many)),
		figure.New("server CPU a call, 64 callers, against tuned echo", "×", "≤ 1.6", b.ratios(serverCPU, heyanName, few, tunedName, few)),
		figure.New("server CPU a call, 256 callers, against floor", "×", "", b.ratios(serverCPU, heyanName, many, floorName, many)),
		figure.New("p99 at half the maximum rate, against floor at the same rate", "×", "≤ 2", b.ratios(p99, heyanName, fixedRate, floorName, fixedRate)),
		figure.New("BatchVerify of 100, items/s against unary at 64 callers", "×", "≥ 8", b.ratios(perSecond, heyanName, batches, heyanName, few)),
	}
}

// table lists what each server did, medians over the rounds.
func (b *bench) table() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%-40s %28s %10s %10s %14s %14s\n", "", "items/s, median (min–max)", "p50 ms", "p99 ms", "server µs/item", "client µs/item")
	seen := map[string]bool{}
	for i := range b.runs {
		r := &b.runs[i]
		name := fmt.Sprintf("%s, %d callers", r.Server, r.Callers)
		switch {
		case r.Rate > 0:
			name = r.Server + ", fixed rate"
		case r.Batch > 0:
			name += fmt.Sprintf(", batches of %d", r.Batch)
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		over := func(of func(*run) float64) figure.Figure {
			var values []float64
			for k := range b.runs {
				o := &b.runs[k]
				if o.Server == r.Server && o.Callers == r.Callers && o.Batch == r.Batch && (o.Rate > 0) == (r.Rate > 0) {
					values = append(values, of(o))
				}
			}
			return figure.New("", "", "", values)
		}
		rate := over(perSecond)
		fmt.Fprintf(&out, "%-40s %28s %10.2f %10.2f %14s %14.1f\n", name, fmt.Sprintf("%.0f (%.0f–%.0f)", rate.Median, rate.Min, rate.Max),
			over(func(r *run) float64 { return r.P50 }).Median, over(p99).Median,
			known(over(serverCPU).Median, "%.1f"), over(func(r *run) float64 { return r.ClientCPU }).Median)
	}
	return out.String()
}

// known prints a number, or a dash for one that the system did not tell.
func known(v float64, format string) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}
