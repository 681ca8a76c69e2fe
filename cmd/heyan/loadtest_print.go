package main

import (
	"fmt"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/load"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
)

// loadReport is what a load test answers. Latencies are milliseconds of a call, a whole batch where there are batches.
type loadReport struct {
	Product    string             `json:"product"`
	Callers    int                `json:"callers"`
	Rate       float64            `json:"rate,omitempty"`
	Batch      int                `json:"batch,omitempty"`
	Calls      int64              `json:"calls"`
	Items      int64              `json:"items"`
	Seconds    float64            `json:"seconds"`
	PerSecond  float64            `json:"items_per_second"`
	Latency    map[string]float64 `json:"latency_ms"`
	Verdicts   map[string]int64   `json:"verdicts"`
	Failures   map[string]int64   `json:"failures"`
	FailedPart float64            `json:"failed_share"`
}

func (a *app) printLoad(l *loading, r *load.Result) error {
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	report := loadReport{
		Product: l.product, Callers: l.options.Callers, Rate: l.options.Rate, Batch: l.batch, Calls: r.Calls, Items: r.Items,
		Seconds: r.Elapsed.Seconds(), PerSecond: float64(r.Items) / max(r.Elapsed.Seconds(), 1e-9),
		Latency:  map[string]float64{"mean": milliseconds(r.Latency.Mean()), "max": milliseconds(r.Latency.Max())},
		Verdicts: r.Verdicts, Failures: r.Failures,
	}
	quantiles := []struct {
		name  string
		share float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}}
	for _, q := range quantiles {
		report.Latency[q.name] = milliseconds(r.Latency.Quantile(q.share))
	}
	var failed int64
	for _, n := range r.Failures {
		failed += n
	}
	report.FailedPart = float64(failed) / max(float64(r.Items), 1)
	if err := a.writeLoad(report); err != nil {
		return err
	}
	if failed > 0 || r.Items == 0 {
		return errNo
	}
	return nil
}

func (a *app) writeLoad(report loadReport) error {
	if a.json() {
		return output.Value(a.Out, report)
	}
	table := output.NewTable()
	table.Row("calls", output.Count(report.Calls))
	table.Row("verifications", output.Count(report.Items))
	table.Row("time", fmt.Sprintf("%.2f s", report.Seconds))
	table.Row("throughput", output.Count(int64(report.PerSecond))+" /s")
	for _, name := range []string{"mean", "p50", "p90", "p99", "p99.9", "max"} {
		table.Row("latency "+name, fmt.Sprintf("%.3f ms", report.Latency[name]))
	}
	for _, name := range sortedReasons(report.Verdicts) {
		table.Row(name, output.Count(report.Verdicts[name]))
	}
	for _, name := range sortedReasons(report.Failures) {
		table.Row("failed "+name, output.Count(report.Failures[name]))
	}
	_, err := table.WriteTo(a.Out)
	return err
}
