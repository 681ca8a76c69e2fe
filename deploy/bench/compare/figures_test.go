package main

import (
	"slices"
	"testing"
)

func TestRatiosStayWithinARound(t *testing.T) {
	// The machine is ten times slower in the second round; the third has no floor.
	b := &bench{plan: plan{rounds: 3}, runs: []run{
		{Server: heyanName, Round: 1, Callers: 64, PerSecond: 800}, {Server: floorName, Round: 1, Callers: 64, PerSecond: 1000},
		{Server: heyanName, Round: 2, Callers: 64, PerSecond: 60}, {Server: floorName, Round: 2, Callers: 64, PerSecond: 100},
		{Server: heyanName, Round: 3, Callers: 64, PerSecond: 800}, {Server: floorName, Round: 3, Callers: 256, PerSecond: 1},
		{Server: heyanName, Round: 1, Callers: 64, Batch: 100, PerSecond: 9000},
	}}
	few := closed(64)
	got := b.ratios(perSecond, heyanName, few, floorName, few)
	if !slices.Equal(got, []float64{0.8, 0.6}) {
		t.Errorf("ratios %v", got)
	}
}
