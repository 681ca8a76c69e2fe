package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/heyan-project/heyan/deploy/bench/internal/sample"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// logRound is what parts says of one round.
type logRound struct {
	LogPerSecond  float64 `json:"log_per_second"`
	BarePerSecond float64 `json:"bare_per_second"`
	LogP50        float64 `json:"log_p50_ms"`
	BareP50       float64 `json:"bare_p50_ms"`
}

// tesseraRound is what the writer of Tessera's POSIX driver says of one round.
type tesseraRound struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
}

// run runs a tool and reads the JSON that it prints.
func (b *bench) run(ctx context.Context, result any, tool string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(b.tools, tool), args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, result)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", tool, err)
	}
	return nil
}

// appends lets log, bare group commit and Tessera append in turn, 64 writers each, and then one writer.
func (b *bench) appends(ctx context.Context) error {
	leaf := filepath.Join(b.work, "leaf")
	body, err := record.Append(nil, sample.New(9, 1).Next())
	if err == nil {
		err = os.WriteFile(leaf, body, 0o600)
	}
	if err != nil {
		return err
	}
	var throughput, latency, against, patient []float64
	for n := range b.rounds {
		var ours []logRound
		var theirs, usual tesseraRound
		own, err := b.dir(fmt.Sprintf("appends-%d", n))
		if err != nil {
			return err
		}
		seconds := fmt.Sprint(b.seconds)
		// 64 writers never fill a batch of the usual size, and wait for its age, a quarter of a second. Batches of 64 are
		// full when all of them wait: that is the best of the sizes that were tried.
		err = errors.Join(
			b.run(ctx, &ours, "parts", "-dir", own, "-seconds", fmt.Sprint(4*b.seconds), "-rounds", "1", "log"),
			b.run(ctx, &theirs, "tessera", "-dir", filepath.Join(own, "tessera"), "-leaf", leaf, "-seconds", seconds, "-batch", "64"),
			b.run(ctx, &usual, "tessera", "-dir", filepath.Join(own, "usual"), "-leaf", leaf, "-seconds", seconds))
		if err != nil {
			return err
		}
		r := ours[0]
		b.say("appends a second with 64 writers: log %.0f, bare %.0f, Tessera %.0f (its defaults: %.0f); p50 with one: log %.3f ms, bare %.3f ms",
			r.LogPerSecond, r.BarePerSecond, theirs.PerSecond, usual.PerSecond, r.LogP50, r.BareP50)
		throughput, latency = append(throughput, r.LogPerSecond/r.BarePerSecond), append(latency, r.LogP50/r.BareP50)
		against, patient = append(against, r.LogPerSecond/theirs.PerSecond), append(patient, r.LogPerSecond/usual.PerSecond)
		if err := os.RemoveAll(own); err != nil {
			return err
		}
	}
	b.add("appends/s, 64 writers, against a bare group commit", "×", "≥ 0.9", throughput)
	b.add("appends/s, 64 writers, against Tessera on POSIX, batches of 64", "×", "≥ 40", against)
	b.add("appends/s, 64 writers, against Tessera on POSIX, its defaults", "×", "", patient)
	b.add("p50, one writer, against one bare write and fdatasync", "×", "≤ 1.6", latency)
	return nil
}
