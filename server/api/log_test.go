package api

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier/fault"
)

// download is the stream of a listing.
type download struct {
	grpc.ServerStream
	ctx  context.Context
	got  []*heyanv1.ListLogEntriesResponse
	each func(n int) error // after the n-th message
}

func (d *download) Context() context.Context { return d.ctx }

func (d *download) Send(m *heyanv1.ListLogEntriesResponse) error {
	d.got = append(d.got, m)
	if d.each != nil {
		return d.each(len(d.got))
	}
	return nil
}

func (o *office) list(request *heyanv1.ListLogEntriesRequest) (outcome[struct{}], []*heyanv1.ListLogEntriesResponse) {
	o.t.Helper()
	return o.listTo(o.t.Context(), &download{}, request)
}

func (o *office) listTo(ctx context.Context, d *download, request *heyanv1.ListLogEntriesRequest) (outcome[struct{}], []*heyanv1.ListLogEntriesResponse) {
	o.t.Helper()
	end := doesIn(o, ctx, "cai", "LogService/ListLogEntries", record.LogListed, func(ctx context.Context, request *heyanv1.ListLogEntriesRequest) (struct{}, error) {
		d.ctx = ctx
		return struct{}{}, o.log.ListLogEntries(request, d)
	}, request)
	return end, d.got
}

func indexes(messages []*heyanv1.ListLogEntriesResponse) []uint64 {
	var all []uint64
	for _, m := range messages {
		if m.GetPosition() != nil {
			all = append(all, m.GetPosition().GetIndex())
		}
	}
	return all
}

// note appends n records of a client's calls.
func (o *office) note(n int, event record.Event, client string) {
	o.t.Helper()
	for range n {
		_, err := o.Journal.System(event, func(r *record.Record) {
			r.Actor = record.Actor{Kind: record.ActorClient, ID: client}
			r.Action = "/heyan.v1.VerificationService/Verify"
		})
		must(o.t, err)
	}
}

func TestListLogEntries(t *testing.T) {
	o := newOffice(t) // index 0 is the origin's birth
	o.note(5, record.VerificationVerify, "acme")
	o.note(5, record.VerificationRead, "other")
	var all, back []uint64
	for i := range uint64(11) {
		all = append(all, i)
	}
	back = all[8:]
	tests := []struct {
		name    string
		request *heyanv1.ListLogEntriesRequest
		want    []uint64
		filters []string
	}{
		{"all", &heyanv1.ListLogEntriesRequest{}, all, nil},
		{"range", &heyanv1.ListLogEntriesRequest{StartIndex: 2, EndIndex: 4}, []uint64{2, 3}, nil},
		{"behind the end", &heyanv1.ListLogEntriesRequest{StartIndex: 400}, nil, nil},
		{"limit", &heyanv1.ListLogEntriesRequest{StartIndex: 1, Limit: 2}, []uint64{1, 2}, nil},
		{"last", &heyanv1.ListLogEntriesRequest{Last: 3}, back, nil},
		{"last of a filter", &heyanv1.ListLogEntriesRequest{Last: 2, Filter: &heyanv1.LogFilter{Client: "acme"}}, []uint64{4, 5}, []string{"client"}},
		{"client", &heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Client: "other"}}, all[6:], []string{"client"}},
		{"event", &heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Event: "verification.read"}}, all[6:], []string{"event"}},
		{"group of events", &heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Event: "origin.*"}}, all[:1], []string{"event"}},
		{"last part of a method", &heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Method: "Verify"}}, all[1:], []string{"method"}},
		{"no part of a method", &heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Method: "erify"}}, nil, []string{"method"}},
		{"full method", &heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Method: "/heyan.v1.VerificationService/Verify"}}, all[1:], []string{"method"}},
		{"category", &heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Category: "SYSTEM"}}, all[:1], []string{"category"}},
		{"outcome and time", &heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Outcome: "DENIED", EndTime: timestamppb.New(start)}}, nil, []string{"to", "outcome"}},
		{"address", &heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Source: "203.0.113.0/24"}}, nil, []string{"source"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.request.EndIndex == 0 { // the listings of this test are in the log too
				test.request.EndIndex = 11
			}
			end, got := o.list(test.request)
			accepted(t, end)
			if !slices.Equal(indexes(got), test.want) {
				t.Errorf("listed %v, want %v", indexes(got), test.want)
			}
			for _, m := range got[:len(got)-1] {
				if leaf := value(o.Log.Get(t.Context(), m.GetPosition().GetIndex()))(t); string(leaf) != string(m.GetLeaf()) {
					t.Errorf("record %d came with other bytes", m.GetPosition().GetIndex())
				}
			}
			last := got[len(got)-1]
			if last.GetCount() != uint64(len(test.want)) || last.GetCheckpoint().GetSize() < 11 || len(last.GetCheckpoint().GetNote()) == 0 {
				t.Errorf("it ends with %v", last)
			}
			access := end.record.LogAccess
			if end.record.Event != record.LogListed || access.Count != uint64(len(test.want)) || !slices.Equal(access.Filters, test.filters) {
				t.Errorf("recorded as %v %+v", end.record.Event, access)
			}
		})
	}
}

// A listing can be checked without trusting who sent it: every leaf hashes to its leaf hash, and all of them to the root.
func TestListingProvesItself(t *testing.T) {
	o := newOffice(t)
	o.note(20, record.VerificationVerify, "acme")
	_, got := o.list(&heyanv1.ListLogEntriesRequest{})
	checkpoint := got[len(got)-1].GetCheckpoint()
	var all tree.Frontier
	for _, m := range got[:len(got)-1] {
		hash := tree.LeafHash(m.GetLeaf())
		if string(hash[:]) != string(m.GetLeafHash()) {
			t.Errorf("record %d has another hash", m.GetPosition().GetIndex())
		}
		all.Append(hash, nil)
	}
	verifier, err := tree.NewVerifier(checkpoint.GetVerifierKey())
	must(t, err)
	if c, err := verifier.Open(checkpoint.GetNote()); err != nil || c.Size != all.Size() || c.Root != all.Root() {
		t.Errorf("%d records are not the tree of %d that was signed (%v)", all.Size(), c.Size, err)
	}
}

func TestListLogEntriesRefuses(t *testing.T) {
	tests := []struct {
		request   *heyanv1.ListLogEntriesRequest
		violation string
	}{
		{&heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Event: "verification.guessed"}}, "filter.event NO_EVENT"},
		{&heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Event: "nothing.*"}}, "filter.event NO_EVENT_OF_THIS_GROUP"},
		{&heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Event: "*"}}, "filter.event NO_EVENT"},
		{&heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Category: "security"}}, "filter.category NO_CATEGORY"},
		{&heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Outcome: "OK"}}, "filter.outcome NO_OUTCOME"},
		{&heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Source: "here"}}, "filter.source ADDRESS_OR_PREFIX"},
		{&heyanv1.ListLogEntriesRequest{Follow: true, EndIndex: 4}, "end_index NOT_WITH_FOLLOW"},
		{&heyanv1.ListLogEntriesRequest{Last: 10_001}, "last AT_MOST_10000"},
	}
	o := newOffice(t)
	for _, test := range tests {
		end, _ := o.list(test.request)
		refusedFor(t, end.refused, fault.RequestMalformed, test.violation)
	}
}

func TestFollow(t *testing.T) {
	o := newOffice(t)
	o.note(3, record.VerificationVerify, "acme")
	ctx, cancel := context.WithCancel(t.Context())
	d := &download{each: func(n int) error {
		switch {
		case n == 4: // what was there is listed
			go o.note(2, record.VerificationVerify, "acme")
		case n == 6:
			cancel()
		}
		return nil
	}}
	end, got := o.listTo(ctx, d, &heyanv1.ListLogEntriesRequest{Follow: true})
	refusedFor(t, end.refused, fault.CallerCancelled)
	if !slices.Equal(indexes(got), []uint64{0, 1, 2, 3, 4, 5}) {
		t.Errorf("followed %v", indexes(got))
	}
	if r := end.record; r.Event != record.LogFollowed || r.LogAccess.Count != 6 || r.LogAccess.To != 6 || r.Outcome.Kind != record.Cancelled {
		t.Errorf("recorded as %v %+v %v", r.Event, r.LogAccess, r.Outcome)
	}
	end, got = o.list(&heyanv1.ListLogEntriesRequest{Follow: true, Last: 2, Limit: 2, Filter: &heyanv1.LogFilter{Client: "acme"}})
	accepted(t, end)
	if !slices.Equal(indexes(got), []uint64{4, 5}) {
		t.Errorf("the last two: %v", indexes(got))
	}
}

// A reader that fails ends the listing, and its record says how far it came.
func TestListingEndsWithItsReader(t *testing.T) {
	o := newOffice(t)
	o.note(9, record.VerificationVerify, "acme")
	end, _ := o.listTo(t.Context(), &download{each: func(n int) error {
		if n == 4 {
			return errGone
		}
		return nil
	}}, &heyanv1.ListLogEntriesRequest{})
	refusedFor(t, end.refused, fault.CallerCancelled)
	if end.record.LogAccess.Count != 3 {
		t.Errorf("recorded %+v", end.record.LogAccess)
	}
}

func TestAmendedBy(t *testing.T) {
	o := newOffice(t)
	o.note(3, record.VerificationVerify, "acme")
	id := fmt.Sprintf("%s/%020d", o.Log.Origin(), 2)
	_, err := o.Store.PutDocument(t.Context(), store.Amendments, id, value(json.Marshal(record.VerificationVoided.String()))(t), 0)
	must(t, err)
	_, got := o.list(&heyanv1.ListLogEntriesRequest{})
	for i, m := range got[:4] {
		want := ""
		if i == 2 {
			want = "verification.voided"
		}
		if m.GetAmendedBy() != want {
			t.Errorf("record %d is amended by %q", i, m.GetAmendedBy())
		}
	}
}

func TestVerifyLog(t *testing.T) {
	o := newOffice(t)
	early := o.Log.Checkpoint()
	o.note(3, record.VerificationVerify, "acme")
	verify := func(checkpoints ...[]byte) outcome[*heyanv1.VerifyLogResponse] {
		return does(o, "cai", "LogService/VerifyLog", record.LogVerified, o.log.VerifyLog, &heyanv1.VerifyLogRequest{Checkpoints: checkpoints})
	}
	alone := accepted(t, verify())
	if !alone.GetWhole() || alone.GetRecords() != 4 || alone.GetCommits() == 0 || alone.GetAnchored() != 0 || len(alone.GetCheckpoint().GetNote()) == 0 {
		t.Errorf("verified: %v", alone)
	}
	if anchored := accepted(t, verify(early)); anchored.GetAnchored() != 1 || !anchored.GetWhole() {
		t.Errorf("anchored: %v", anchored)
	}
	foreign := value(value(tree.NewSigner(o.Log.Origin(), newKey(t)))(t).Sign(2, tree.Hash{1}))(t)
	if forged := accepted(t, verify(foreign)); forged.GetWhole() || forged.GetFindings()[0].GetKind() != "UNVERIFIABLE" {
		t.Errorf("with a checkpoint of another key: %v", forged)
	}
	refusedFor(t, verify([]byte{}).refused, fault.RequestMalformed, "checkpoints SIGNED_NOTE")
	refusedFor(t, verify(make([][]byte, 101)...).refused, fault.RequestTooLarge, "checkpoints AT_MOST_100")
}

func TestOriginsCoverageCheckpoint(t *testing.T) {
	o := newOffice(t)
	origins := func() []*heyanv1.Origin {
		return accepted(t, does(o, "cai", "LogService/ListOrigins", record.LogOriginsListed, o.log.ListOrigins, &heyanv1.ListOriginsRequest{})).GetOrigins()
	}
	coverage := func() *heyanv1.LogCoverage {
		return accepted(t, does(o, "cai", "LogService/GetLogCoverage", record.LogCoverageRead, o.log.GetLogCoverage, &heyanv1.GetLogCoverageRequest{}))
	}
	checkpoint := func(origin string) outcome[*heyanv1.Checkpoint] {
		return does(o, "cai", "LogService/GetCheckpoint", record.LogCheckpointRead, o.log.GetCheckpoint, &heyanv1.GetCheckpointRequest{Origin: origin})
	}
	own := o.Log.Origin()
	if all := origins(); len(all) != 1 || all[0].GetId() != own || all[0].GetNode() != "node1" || !all[0].GetLive() || all[0].GetCheckpoint().GetSize() == 0 {
		t.Errorf("origins: %v", all)
	}
	if c := coverage(); c.GetRequiredFrom() != "2026-11-22" || c.GetShortfallDays() != 0 || c.GetRecords() < 1 || len(c.GetMissingOrigins()) != 0 {
		t.Errorf("coverage of a new log: %v", c)
	}
	if c := accepted(t, checkpoint("")); c.GetOrigin() != own || c.GetSize() == 0 || len(c.GetRoot()) != 32 {
		t.Errorf("checkpoint: %v", c)
	}
	refusedFor(t, checkpoint("node9-0123456789abcdef").refused, fault.ResourceNotFound)

	// Another log was there before, and cannot be read here.
	lost := "node0-0123456789abcdef"
	signer := value(tree.NewSigner(lost, newKey(t)))(t)
	row := OriginRow{Node: "node0", Key: signer.Key(), FirstTime: start.AddDate(0, 0, -10), Checkpoint: value(signer.Sign(7, tree.Hash{1}))(t), Cause: "first start"}
	table := store.TableOf[OriginRow](o.Store, store.Origins)
	_, err := table.Put(t.Context(), lost, row, 0)
	must(t, err)
	_, err = table.Put(t.Context(), own, OriginRow{Node: "node1", Key: o.Log.Key(), FirstTime: start, Predecessor: lost, Cause: "copy"}, 0)
	must(t, err)
	if all := origins(); len(all) != 2 || all[0].GetId() != lost || all[0].GetReadable() || all[1].GetPredecessor() != lost || all[1].GetCause() != "copy" {
		t.Errorf("origins: %v", all)
	}
	if c := coverage(); c.GetRequiredFrom() != "2026-11-12" || c.GetShortfallDays() != 10 || !slices.Equal(c.GetMissingOrigins(), []string{lost}) {
		t.Errorf("coverage: %v", c)
	}
	if c := accepted(t, checkpoint(lost)); c.GetSize() != 7 || c.GetVerifierKey() != signer.Key() {
		t.Errorf("checkpoint of the lost log: %v", c)
	}
	// Six months later what was missing is no longer required.
	o.pass(200 * 24 * time.Hour)
	if c := coverage(); c.GetRequiredFrom() != "2026-12-10" || c.GetShortfallDays() != 0 {
		t.Errorf("coverage later: %v", c)
	}
}

func newKey(t testing.TB) ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return key
}
