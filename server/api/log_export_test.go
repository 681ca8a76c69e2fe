package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier/fault"
)

// parcel is the stream of an export, and what came of it.
type parcel struct {
	grpc.ServerStream
	ctx     context.Context
	each    func(n int) error // after the n-th message
	n       int
	begin   *heyanv1.ExportLogResponse_Begin
	entries []*heyanv1.ExportLogResponse_Entry
	totals  []*heyanv1.ExportLogResponse_Entry
	told    []uint64
	hashes  []byte
	end     *heyanv1.ExportLogResponse_End
}

func (p *parcel) Context() context.Context { return p.ctx }

func (p *parcel) Send(m *heyanv1.ExportLogResponse) error {
	if p.n++; p.end != nil || (p.n == 1) != (m.GetBegin() != nil) {
		return errors.New("out of order")
	}
	switch part := m.GetPart().(type) {
	case *heyanv1.ExportLogResponse_Begin_:
		p.begin = part.Begin
	case *heyanv1.ExportLogResponse_Entries_:
		p.entries = append(p.entries, part.Entries.GetEntries()...)
		p.told = append(p.told, part.Entries.GetNextIndex())
	case *heyanv1.ExportLogResponse_Totals_:
		if len(p.entries) > 0 {
			return errors.New("totals behind records")
		}
		p.totals = append(p.totals, part.Totals.GetEntries()...)
	case *heyanv1.ExportLogResponse_ProofHashes:
		p.hashes = append(p.hashes, part.ProofHashes...)
	case *heyanv1.ExportLogResponse_End_:
		p.end = part.End
	}
	if p.each != nil {
		return p.each(p.n)
	}
	return nil
}

func (p *parcel) indexes() []uint64 {
	var all []uint64
	for _, e := range p.entries {
		all = append(all, e.GetIndex())
	}
	return all
}

// proves puts what arrived to the proof, as its receiver does.
func (p *parcel) proves(o *office) error {
	key, err := tree.NewVerifier(o.Log.Key())
	if err != nil {
		return err
	}
	c, err := key.Open(p.end.GetCheckpoint().GetNote())
	if err != nil {
		return err
	}
	hashes := p.hashes
	b := tree.NewBatchCheck(c.Size, func() (tree.Hash, error) {
		if len(hashes) == 0 {
			return tree.Hash{}, io.EOF
		}
		h := tree.Hash(hashes)
		hashes = hashes[len(h):]
		return h, nil
	})
	leaves := map[uint64][]byte{}
	for _, e := range slices.Concat(p.entries, p.totals) {
		leaves[e.GetIndex()] = e.GetLeaf()
	}
	for _, index := range slices.Sorted(maps.Keys(leaves)) {
		if err := b.Add(index, tree.LeafHash(leaves[index])); err != nil {
			return err
		}
	}
	if err := b.Finish(c.Root); err != nil {
		return err
	}
	if len(hashes) > 0 {
		return errors.New("hashes left over")
	}
	return nil
}

func (o *office) export(request *heyanv1.ExportLogRequest) (outcome[struct{}], *parcel) {
	o.t.Helper()
	p := &parcel{}
	return o.exportTo(p, request), p
}

func (o *office) exportTo(p *parcel, request *heyanv1.ExportLogRequest) outcome[struct{}] {
	o.t.Helper()
	return doesIn(o, o.t.Context(), "cai", "LogService/ExportLog", record.LogExported, func(ctx context.Context, request *heyanv1.ExportLogRequest) (struct{}, error) {
		p.ctx = ctx
		return struct{}{}, o.log.ExportLog(request, p)
	}, request)
}

func TestExportLog(t *testing.T) {
	o := newOffice(t) // index 0 is the origin's birth
	o.note(600, record.VerificationVerify, "acme")
	o.note(5, record.VerificationRead, "other")
	older := o.Log.Checkpoint()
	o.note(1, record.VerificationRead, "other")
	var all []uint64
	for i := range uint64(607) {
		all = append(all, i)
	}
	tests := []struct {
		name    string
		request *heyanv1.ExportLogRequest
		want    []uint64
		from    uint64
		to      uint64
		filters []string
	}{
		{"all", &heyanv1.ExportLogRequest{EndIndex: 607}, all, 0, 607, nil},
		{"range", &heyanv1.ExportLogRequest{StartIndex: 2, EndIndex: 300}, all[2:300], 2, 300, nil},
		{"client", &heyanv1.ExportLogRequest{EndIndex: 607, Filter: &heyanv1.LogFilter{Client: "other"}}, all[601:], 0, 607, []string{"client"}},
		{"client and range", &heyanv1.ExportLogRequest{StartIndex: 603, EndIndex: 605, Filter: &heyanv1.LogFilter{Client: "other"}}, all[603:605], 603, 605, []string{"client"}},
		{"nothing", &heyanv1.ExportLogRequest{EndIndex: 607, Filter: &heyanv1.LogFilter{Source: "203.0.113.0/24"}}, nil, 0, 607, []string{"source"}},
		{"an empty range", &heyanv1.ExportLogRequest{StartIndex: 5, EndIndex: 5}, nil, 5, 5, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			done, p := o.export(test.request)
			accepted(t, done)
			must(t, p.proves(o))
			if !slices.Equal(p.indexes(), test.want) || p.begin.GetStartIndex() != test.from || p.begin.GetEndIndex() != test.to {
				t.Errorf("%d entries of %v", len(p.entries), p.begin)
			}
			for _, e := range p.entries {
				if leaf := value(o.Log.Get(t.Context(), e.GetIndex()))(t); string(leaf) != string(e.GetLeaf()) {
					t.Errorf("record %d came with other bytes", e.GetIndex())
				}
			}
			if n := len(p.told); n > 0 && p.told[n-1] != test.to {
				t.Errorf("told of %v", p.told)
			}
			end := p.end
			if end.GetCount() != uint64(len(test.want)) || end.GetRequester() != "cai" || end.GetRegion() != "cn-shanghai" || end.GetRetentionStatement() == "" ||
				end.GetMakeTime() == nil || len(end.GetGaps()) > 0 || end.GetOutsideCoverage() || p.begin.GetSize() != end.GetCheckpoint().GetSize() {
				t.Errorf("it ends with %v", end)
			}
			access := done.record.LogAccess
			if done.record.Event != record.LogExported || access.From != test.from || access.To != test.to || access.Count != end.GetCount() || !slices.Equal(access.Filters, test.filters) {
				t.Errorf("recorded as %v %+v", done.record.Event, access)
			}
		})
	}
	key := value(tree.NewVerifier(o.Log.Key()))(t)
	before := value(key.Open(older))(t)
	done, p := o.export(&heyanv1.ExportLogRequest{EndIndex: 1, AnchorSizes: []uint64{0, before.Size, 1 << 40}})
	accepted(t, done)
	if len(p.end.GetConsistency()) != 1 || p.end.GetConsistency()[0].GetSize() != before.Size {
		t.Fatalf("consistency with %v", p.end.GetConsistency())
	}
	var proof []tree.Hash
	for _, h := range p.end.GetConsistency()[0].GetHashes() {
		proof = append(proof, tree.Hash(h))
	}
	c := p.end.GetCheckpoint()
	must(t, tree.CheckConsistency(proof, before.Size, before.Root, c.GetSize(), tree.Hash(c.GetRoot())))
}

// What the log does not hold of a range is said, and told from a range in which nothing passes.
func TestExportGaps(t *testing.T) {
	o := newOffice(t)
	o.pass(time.Minute)
	o.note(5, record.VerificationVerify, "acme")
	newest := o.Now()
	o.pass(time.Minute)
	at := func(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }
	between := func(from, to *timestamppb.Timestamp) *heyanv1.LogFilter {
		return &heyanv1.LogFilter{StartTime: from, EndTime: to}
	}
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		request *heyanv1.ExportLogRequest
		gaps    []string
		outside bool
	}{
		"before, in part":      {&heyanv1.ExportLogRequest{Filter: between(at(start.Add(-day)), at(newest))}, []string{gapBefore}, false},
		"before":               {&heyanv1.ExportLogRequest{Filter: between(at(start.Add(-2*day)), at(start.Add(-day)))}, []string{gapBefore}, true},
		"before, without from": {&heyanv1.ExportLogRequest{Filter: between(nil, at(start.Add(-day)))}, []string{gapBefore}, true},
		"after, in part":       {&heyanv1.ExportLogRequest{Filter: between(at(start), at(start.Add(day)))}, []string{gapAfter}, false},
		"after":                {&heyanv1.ExportLogRequest{Filter: between(at(start.Add(day)), nil)}, []string{gapAfter}, true},
		"both sides":           {&heyanv1.ExportLogRequest{Filter: between(at(start.Add(-day)), at(start.Add(day)))}, []string{gapBefore, gapAfter}, false},
		"indexes, in part":     {&heyanv1.ExportLogRequest{StartIndex: 3, EndIndex: 4000}, []string{gapAfter}, false},
		"indexes":              {&heyanv1.ExportLogRequest{StartIndex: 3000, EndIndex: 4000}, []string{gapAfter}, true},
		"indexes without end":  {&heyanv1.ExportLogRequest{StartIndex: 3000}, []string{gapAfter}, true},
		"nothing passes":       {&heyanv1.ExportLogRequest{Filter: &heyanv1.LogFilter{Client: "nobody"}}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			done, p := o.export(c.request)
			accepted(t, done)
			must(t, p.proves(o))
			var reasons []string
			for _, g := range p.end.GetGaps() {
				reasons = append(reasons, g.GetReason())
			}
			if !slices.Equal(reasons, c.gaps) || p.end.GetOutsideCoverage() != c.outside {
				t.Errorf("gaps %v, outside %v", p.end.GetGaps(), p.end.GetOutsideCoverage())
			}
		})
	}
}

func TestExportRefuses(t *testing.T) {
	o := newOffice(t)
	for _, test := range []struct {
		request   *heyanv1.ExportLogRequest
		violation string
	}{
		{&heyanv1.ExportLogRequest{Filter: &heyanv1.LogFilter{Event: "no.such_event"}}, "filter.event NO_EVENT"},
		{&heyanv1.ExportLogRequest{StartIndex: 4, EndIndex: 3}, "end_index NOT_BEFORE_START_INDEX"},
	} {
		done, p := o.export(test.request)
		refusedFor(t, done.refused, fault.RequestMalformed, test.violation)
		if p.n > 0 {
			t.Errorf("%d messages before the refusal", p.n)
		}
	}
	done, _ := o.export(&heyanv1.ExportLogRequest{AnchorSizes: make([]uint64, 101)})
	refusedFor(t, done.refused, fault.RequestTooLarge, "anchor_sizes AT_MOST_100")
}

// A receiver that goes away ends the export, and its record says how far it came.
func TestExportEndsWithItsReceiver(t *testing.T) {
	o := newOffice(t)
	o.note(600, record.VerificationVerify, "acme")
	p := &parcel{each: func(n int) error {
		if n == 3 {
			return errGone
		}
		return nil
	}}
	done := o.exportTo(p, &heyanv1.ExportLogRequest{})
	refusedFor(t, done.refused, fault.CallerCancelled)
	if a := done.record.LogAccess; a.Count != 512 || a.To != 512 {
		t.Errorf("recorded %+v", a)
	}
}

// A log that was purged says so, and of a range that is gone it reads nothing.
func TestExportOfAPurgedLog(t *testing.T) {
	held := netlog.Coverage{First: 100, Size: 200, Oldest: start, Newest: start.Add(time.Hour)}
	for _, c := range []struct {
		start, end, from, to uint64
		gap                  string
		outside              bool
	}{
		{0, 0, 100, 200, "0-100 PURGED", false}, {40, 150, 100, 150, "40-100 PURGED", false}, {40, 60, 100, 100, "40-60 PURGED", true},
		{40, 100, 100, 100, "40-100 PURGED", true}, {100, 150, 100, 150, "", false},
	} {
		request := &heyanv1.ExportLogRequest{StartIndex: c.start, EndIndex: c.end}
		if from, to := span(request, held.First, held.Size); from != c.from || to != c.to {
			t.Errorf("%d to %d: reads %d to %d", c.start, c.end, from, to)
		}
		all, outside := gaps(request, &logQuery{}, held, held.Size)
		text := ""
		for _, g := range all {
			text += fmt.Sprintf("%d-%d %s", g.GetStartIndex(), g.GetEndIndex(), g.GetReason())
		}
		if text != c.gap || outside != c.outside {
			t.Errorf("%d to %d: %q, outside %v", c.start, c.end, text, outside)
		}
	}
}

// What became of a record later goes with it.
func TestExportAmendedBy(t *testing.T) {
	o := newOffice(t)
	o.note(3, record.VerificationVerify, "acme")
	id := fmt.Sprintf("%s/%020d", o.Log.Origin(), 2)
	_, err := o.Store.PutDocument(t.Context(), store.Amendments, id, value(json.Marshal(record.VerificationVoided.String()))(t), 0)
	must(t, err)
	done, p := o.export(&heyanv1.ExportLogRequest{EndIndex: 4})
	accepted(t, done)
	for i, e := range p.entries {
		want := ""
		if i == 2 {
			want = "verification.voided"
		}
		if e.GetAmendedBy() != want {
			t.Errorf("record %d is amended by %q", i, e.GetAmendedBy())
		}
	}
}
