package api

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
)

func (o *office) segments(request *heyanv1.ListLogSegmentsRequest) outcome[*heyanv1.ListLogSegmentsResponse] {
	o.t.Helper()
	return does(o, "cai", "LogService/ListLogSegments", record.LogSegmentsListed, o.log.ListLogSegments, request)
}

func (o *office) nextPurge() *heyanv1.LogCoverage_NextPurge {
	o.t.Helper()
	return accepted(o.t, does(o, "cai", "LogService/GetLogCoverage", record.LogCoverageRead, o.log.GetLogCoverage, &heyanv1.GetLogCoverageRequest{})).GetNextPurge()
}

// kept is what keeps each segment, with its hold, and what coverage says goes next.
func (o *office) kept() string {
	o.t.Helper()
	var all []string
	for _, s := range accepted(o.t, o.segments(&heyanv1.ListLogSegmentsRequest{})).GetSegments() {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%d-%d %s %s", s.GetFirstIndex(), s.GetEndIndex(), s.GetKeptBy(), s.GetHold())))
	}
	n := o.nextPurge()
	return strings.Join(all[:2], ", ") + "; " + strings.TrimSpace(fmt.Sprintf("%s %d-%d %d %s %s", n.GetTime().AsTime().Format("0102T15"), n.GetFirstIndex(), n.GetEndIndex(), n.GetRecords(), n.GetKeptBy(), n.GetHold()))
}

// TestListLogSegments (MV-3.2-hold-1-logs, MV-3.2-hold-2-court): every part of the log is listed with what keeps it, and what
// goes next follows from it.
func TestListLogSegments(t *testing.T) {
	o := newOffice(t)
	live := accepted(t, o.segments(&heyanv1.ListLogSegmentsRequest{})).GetSegments()
	if len(live) != 1 || live[0].GetKeptBy() != "LIVE" || live[0].GetFirstIndex() != 0 || live[0].GetEndIndex() != 1 || live[0].GetPurgeableFrom() != nil || len(live[0].GetRoot()) != 32 ||
		!live[0].GetOldestTime().AsTime().Equal(start) {
		t.Errorf("a new log: %v", live)
	}
	if n := o.nextPurge(); n != nil {
		t.Errorf("of a new log goes %v", n)
	}
	first := o.seal()
	o.pass(2 * day)
	o.seal()
	all := accepted(t, o.segments(&heyanv1.ListLogSegmentsRequest{})).GetSegments()
	if len(all) != 2 {
		t.Fatalf("listed %v", all)
	}
	if s := all[0]; s.GetFirstIndex() != 0 || s.GetEndIndex() != 256 || s.GetBytes() != first.Bytes || hex.EncodeToString(s.GetSha256()) != first.SHA256 ||
		hex.EncodeToString(s.GetRoot()) != first.Root || !s.GetOldestTime().AsTime().Equal(start) || !s.GetLatestTime().AsTime().Equal(first.Latest) ||
		!s.GetPurgeableFrom().AsTime().Equal(time.Date(2027, 6, 6, 16, 0, 0, 0, time.UTC)) {
		t.Errorf("the first is %v, its manifest %+v", s, first)
	}
	steps := []struct {
		name string
		do   func()
		want string
	}{
		{"new", func() {}, "0-256 NOT_YET, 256-512 NOT_YET; 0606T16 0-256 256"},
		{"over", func() { o.pass(195 * day) }, "0-256, 256-512 NOT_YET; 0606T16 0-256 256"},
		{"both over", func() { o.pass(2 * day) }, "0-256, 256-512; 0606T16 0-512 512"},
		{"no clock", func() { o.dates.Synchronised = false }, "0-256 CLOCK_UNTRUSTED, 256-512 CLOCK_UNTRUSTED; 0606T16 0-256 256 CLOCK_UNTRUSTED"},
		{"a hold on the first day", func() {
			o.dates.Synchronised = true
			request := holdRequest("court-17")
			request.Hold.LogRange.EndTime, request.Hold.ExpireTime = timestamppb.New(start.Add(time.Hour)), timestamppb.New(o.Now().Add(time.Hour))
			accepted(t, o.hold(request))
		}, "0-256 HELD court-17, 256-512 BEHIND; 0606T16 0-256 256 HELD court-17"},
		{"it ended", func() { o.pass(time.Hour) }, "0-256, 256-512; 0606T16 0-512 512"},
		{"a longer policy", func() { accepted(t, o.setRetention(0, "P1Y", 15, "log")) }, "0-256 NOT_YET, 256-512 NOT_YET; 1207T16 0-256 256"},
	}
	for _, step := range steps {
		step.do()
		if got := o.kept(); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
}

func TestListLogSegmentsByPages(t *testing.T) {
	o := newOffice(t)
	o.seal()
	o.seal()
	o.note(1, record.VerificationVerify, "acme")
	var got []uint64
	token := ""
	for range 3 {
		page := accepted(t, o.segments(&heyanv1.ListLogSegmentsRequest{PageSize: 1, PageToken: token}))
		got, token = append(got, page.GetSegments()[0].GetFirstIndex()), page.GetNextPageToken()
	}
	if fmt.Sprint(got) != "[0 256 512]" || token != "" {
		t.Errorf("listed %v, then %q", got, token)
	}
	refusedFor(t, o.segments(&heyanv1.ListLogSegmentsRequest{PageToken: "x"}).refused, fault.RequestMalformed, "page_token NOT_OF_THIS_LIST")
}
