package sample

import (
	"bytes"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// TestDay: what is invented are records, of one day and in order, the same ones for the same seed; clients and addresses
// repeat, ids do not.
func TestDay(t *testing.T) {
	const n = 20_000
	one, again, other := New(1, n), New(1, n), New(2, n)
	actors, ids := map[string]int{}, map[string]bool{}
	var last time.Time
	for i := range n {
		r := one.Next()
		b, err := record.Append(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		same, err := record.Append(nil, again.Next())
		if err != nil || !bytes.Equal(b, same) {
			t.Fatalf("record %d differs with the same seed, %v", i, err)
		}
		if different, err := record.Append(nil, other.Next()); err != nil || bytes.Equal(b, different) {
			t.Fatalf("record %d is the same with another seed, %v", i, err)
		}
		if !r.Time.After(last) {
			t.Fatalf("record %d is not later than the one before", i)
		}
		last = r.Time
		actors[r.Actor.ID]++
		if p := r.Processing; p != nil {
			if ids[r.Object.ID] || ids[p.ConsentUse] {
				t.Fatalf("record %d repeats an id", i)
			}
			ids[r.Object.ID], ids[p.ConsentUse] = true, true
		}
	}
	if span := last.Sub(Start); span < 20*time.Hour || span >= 24*time.Hour {
		t.Errorf("the day lasts %v", span)
	}
	if len(actors) != clients || actors["client-000"] < 15*actors["client-059"] {
		t.Errorf("%d clients, the first with %d records, the last with %d", len(actors), actors["client-000"], actors["client-059"])
	}
}
