package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heyan-project/heyan/store/netlog/tree"
)

// verify verifies the sealed log whole, and beside it hashes the bytes of its records into a tree and does nothing else.
// Both are given in records for each second of processor time: that is a core's.
func (w *world) verify(ctx context.Context) error {
	var ours, bare, ratio []float64
	for range w.rounds {
		rate, err := w.verifyOnce(ctx)
		if err != nil {
			return err
		}
		hashed, err := w.hashOnce(ctx)
		if err != nil {
			return err
		}
		w.say("verified %.0f records a second of a core; hashing alone: %.0f", rate, hashed)
		ours, bare, ratio = append(ours, rate/1e6), append(bare, hashed/1e6), append(ratio, rate/hashed)
	}
	w.add("full verification of sealed segments, a core", "M/s", "≥ 0.7", ours)
	w.add("    hashing the same records into a tree and nothing else, a core", "M/s", "", bare)
	w.add("    the first against the second", "×", "", ratio)
	return nil
}

func (w *world) verifyOnce(ctx context.Context) (rate float64, err error) {
	r, err := w.open()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	began, wall := processor(), time.Now()
	report, err := r.Verify(ctx)
	if err != nil {
		return 0, err
	}
	if !report.Whole() || report.Verified < w.sealed {
		return 0, fmt.Errorf("the log does not verify: %s", report)
	}
	return float64(report.Verified) / took(began, wall), nil
}

// took is the processor time since, or where the system does not tell the time.
func took(began time.Duration, wall time.Time) float64 {
	if now := processor(); now > began {
		return (now - began).Seconds()
	}
	return time.Since(wall).Seconds()
}

func (w *world) hashOnce(ctx context.Context) (rate float64, err error) {
	const most = 100_000
	r, err := w.open()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	var leaves [][]byte
	err = r.Read(ctx, 0, min(most, w.sealed), func(_ uint64, leaf []byte) error {
		leaves = append(leaves, append([]byte(nil), leaf...))
		return nil
	})
	if err != nil {
		return 0, err
	}
	began, wall := processor(), time.Now()
	var frontier tree.Frontier
	var stored []tree.Hash
	for _, leaf := range leaves {
		stored = frontier.Append(tree.LeafHash(leaf), stored[:0])
	}
	seconds := took(began, wall)
	if frontier.Size() == 0 {
		return 0, errors.New("no records")
	}
	return float64(len(leaves)) / seconds, nil
}
