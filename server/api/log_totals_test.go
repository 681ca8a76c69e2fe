package api

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
)

// TestExportTotals: an export with a filter that totals know carries those that count every record of its range, whether
// the range ends now or earlier, and one with another filter carries none.
func TestExportTotals(t *testing.T) {
	o := newOffice(t)
	hour := func(n int) *timestamppb.Timestamp {
		return timestamppb.New(start.Truncate(time.Hour).Add(time.Duration(n) * time.Hour))
	}
	var ends []uint64
	for range 4 {
		o.note(20, record.VerificationVerify, "acme")
		o.note(5, record.VerificationRead, "other")
		o.CountLog(t.Context())
		ends = append(ends, o.Log.Size()-1)
		o.pass(time.Hour)
	}
	for _, c := range []struct {
		name    string
		request *heyanv1.ExportLogRequest
		from    uint64 // of the first total
		totals  int
		fresh   bool // one is written for the export
	}{
		{"no filter", &heyanv1.ExportLogRequest{EndIndex: 50}, 0, 0, false},
		{"a client", &heyanv1.ExportLogRequest{Filter: &heyanv1.LogFilter{Client: "acme"}}, 0, 5, true},
		{"an outcome, which totals have too", &heyanv1.ExportLogRequest{Filter: &heyanv1.LogFilter{Outcome: "SUCCESS"}}, 0, 6, true},
		{"a method", &heyanv1.ExportLogRequest{Filter: &heyanv1.LogFilter{Method: "Verify"}}, 0, 7, true},
		{"an earlier range", &heyanv1.ExportLogRequest{EndIndex: ends[1], Filter: &heyanv1.LogFilter{Client: "acme"}}, 0, 2, true},
		{"the middle of one", &heyanv1.ExportLogRequest{StartIndex: ends[0] + 3, EndIndex: ends[0] + 9, Filter: &heyanv1.LogFilter{Client: "acme"}}, ends[0], 1, true},
		{"an hour", &heyanv1.ExportLogRequest{Filter: &heyanv1.LogFilter{Client: "acme", StartTime: hour(1), EndTime: hour(2)}}, 0, 4, true},
		{"a reason", &heyanv1.ExportLogRequest{Filter: &heyanv1.LogFilter{Client: "acme", Reason: "QUOTA_EXHAUSTED"}}, 0, 0, false},
		{"a source", &heyanv1.ExportLogRequest{Filter: &heyanv1.LogFilter{Source: "203.0.113.7"}}, 0, 0, false},
		{"an event", &heyanv1.ExportLogRequest{Filter: &heyanv1.LogFilter{Event: "system.totals"}}, 0, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			size := o.Log.Size()
			done, p := o.export(c.request)
			accepted(t, done)
			must(t, p.proves(o))
			if fresh := o.records(size)[0].Event == record.SystemTotals; fresh != c.fresh {
				t.Errorf("a total was written for it: %v", fresh)
			}
			at := c.from
			for _, e := range p.totals {
				r := value(record.Parse(e.GetLeaf()))(t)
				if r.Totals == nil || r.Totals.From != at || e.GetIndex() < r.Totals.To {
					t.Fatalf("record %d counts %+v, and %d is next", e.GetIndex(), r.Totals, at)
				}
				at = r.Totals.To
			}
			if len(p.totals) != c.totals {
				t.Errorf("%d totals, want %d", len(p.totals), c.totals)
			}
			if end := p.begin.GetEndIndex(); c.request.EndIndex == 0 && end != size || c.totals > 0 && c.name != "an hour" && at < end {
				t.Errorf("the range ends at %d, the log had %d, totals end at %d", end, size, at)
			}
		})
	}
}

// TestExportWithManyTotals: evidence comes in messages of few enough bytes.
func TestExportWithManyTotals(t *testing.T) {
	o := newOffice(t)
	for i := range 300 {
		o.note(1, record.VerificationVerify, fmt.Sprint("client-", i))
		o.CountLog(t.Context())
	}
	done, p := o.export(&heyanv1.ExportLogRequest{Filter: &heyanv1.LogFilter{Client: "client-7"}})
	accepted(t, done)
	must(t, p.proves(o))
	if len(p.totals) != 301 || len(p.entries) != 1 || p.end.GetCount() != 1 {
		t.Errorf("%d totals, %d records", len(p.totals), len(p.entries))
	}
	gone := &parcel{each: func(n int) error {
		if n == 2 {
			return errGone
		}
		return nil
	}}
	refusedFor(t, o.exportTo(gone, &heyanv1.ExportLogRequest{Filter: &heyanv1.LogFilter{Client: "client-7"}}).refused, fault.CallerCancelled)
}
