package main

import (
	"testing"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// TestLoadtestLeavesChildrenOut: a refusal for each child would spend the refusals that a client is allowed.
func TestLoadtestLeavesChildrenOut(t *testing.T) {
	// Born on 31 December 1949.
	id, phone, wrong := "11010519491231002X", "13800138000", "110105194912310021"
	for _, c := range []struct {
		name   string
		fields *heyanv1.Fields
		now    time.Time
		child  bool
	}{
		{"the day before the birthday", &heyanv1.Fields{IdNumber: &id}, time.Date(1963, 12, 30, 12, 0, 0, 0, time.UTC), true},
		{"the day after it", &heyanv1.Fields{IdNumber: &id}, time.Date(1964, 1, 1, 12, 0, 0, 0, time.UTC), false},
		{"a driver's licence tells it too", &heyanv1.Fields{DriverLicenseNumber: &id}, time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), true},
		{"no value tells", &heyanv1.Fields{PhoneNumber: &phone}, time.Date(1963, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{"a value that does not parse is sent", &heyanv1.Fields{IdNumber: &wrong}, time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := child(samplePerson{Fields: c.fields}, c.now); got != c.child {
				t.Errorf("child = %v", got)
			}
		})
	}
}

// BenchmarkLoadtestRequest is what the generator spends on making a request.
func BenchmarkLoadtestRequest(b *testing.B) {
	name, id := "王小明", "11010519491231002X"
	g := &generator{run: "load-0123456789abcdef0123456789abcdef"}
	g.models = []*heyanv1.VerifyRequest{g.model(&heyanv1.VerifyRequest{Product: "id2"},
		samplePerson{Fields: &heyanv1.Fields{Name: &name, IdNumber: &id}}, 0, "n", "", nil)}
	b.ReportAllocs()
	n := int64(0)
	for b.Loop() {
		if n++; g.request(n).GetRequestId() == "" {
			b.Fatal("no request_id")
		}
	}
}
