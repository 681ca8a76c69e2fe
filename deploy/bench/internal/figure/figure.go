// Package figure is a line of a benchmark's result: what was measured in each round, and what it should be.
package figure

import (
	"fmt"
	"slices"
	"strings"
)

// Figure is one line.
type Figure struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit,omitempty"`
	Values []float64 `json:"values"` // one a round; empty = this system does not tell
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Target string    `json:"target,omitempty"`
}

// New makes a figure of its values.
func New(name, unit, target string, values []float64) Figure {
	f := Figure{Name: name, Unit: unit, Values: values, Target: target}
	if len(values) > 0 {
		sorted := slices.Sorted(slices.Values(values))
		n := len(sorted)
		f.Median, f.Min, f.Max = (sorted[(n-1)/2]+sorted[n/2])/2, sorted[0], sorted[n-1]
	}
	return f
}

// Table lists figures with their targets.
func Table(figures []Figure) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%-66s %13s %19s %12s\n", "", "median", "min–max", "target")
	for _, f := range figures {
		if len(f.Values) == 0 {
			fmt.Fprintf(&out, "%-66s %13s %19s %12s\n", f.Name, "–", "", f.Target)
			continue
		}
		spread := ""
		if len(f.Values) > 1 {
			spread = fmt.Sprintf("%.2f–%.2f", f.Min, f.Max)
		}
		fmt.Fprintf(&out, "%-66s %13s %19s %12s\n", f.Name, strings.TrimSpace(fmt.Sprintf("%.2f %s", f.Median, f.Unit)), spread, f.Target)
	}
	return out.String()
}
