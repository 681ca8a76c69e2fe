package api

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// closed is an origin that was written before this office's log, and what the store has of it.
type closed struct {
	dir, id, key string
	signing      ed25519.PrivateKey
	head         []byte
}

// closedLog writes a log of a birth and n records, one a second from a time on, and lists it in the store.
func (o *office) closedLog(node string, from time.Time, n int) closed {
	o.t.Helper()
	c := closed{dir: filepath.Join(o.t.TempDir(), node), signing: newKey(o.t)}
	at := from
	log := value(netlog.Create(netlog.Options{Dir: c.dir, Node: node, Now: func() time.Time { return from }, SigningKey: c.signing}, "init"))(o.t)
	for range n {
		at = at.Add(time.Second)
		leaf := value(record.Append(nil, &record.Record{Time: at, Event: record.VerificationVerify,
			Actor: record.Actor{Kind: record.ActorClient, ID: "acme"}, Outcome: record.Outcome{Kind: record.Success}}))(o.t)
		ticket := value(log.Append(leaf))(o.t)
		must(o.t, ticket.Wait(o.t.Context()))
	}
	c.id, c.key, c.head = log.Origin(), log.Key(), log.Checkpoint()
	must(o.t, log.Close())
	o.listed(c.id, OriginRow{Node: node, Key: c.key, FirstTime: from, Checkpoint: c.head, Cause: "init"})
	return c
}

// listed puts an origin into the store.
func (o *office) listed(id string, row OriginRow) {
	o.t.Helper()
	table := store.TableOf[OriginRow](o.Store, store.Origins)
	before, err := table.Get(o.t.Context(), id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		o.t.Fatal(err)
	}
	_, err = table.Put(o.t.Context(), id, row, before.Revision)
	must(o.t, err)
}

// reads names the directories that closed origins lie in.
func (o *office) reads(dirs ...string) {
	var places []origins.Place
	for i, dir := range dirs {
		places = append(places, origins.Directory(fmt.Sprint("place ", i+1), dir, nil))
	}
	o.Archive = origins.NewArchive(o.Now, places...)
	o.t.Cleanup(func() { must(o.t, o.Archive.Close()) })
}

// shown lists a listing's records, "a0 a1 n0", by the first letter of their node.
func shown(messages []*heyanv1.ListLogEntriesResponse) string {
	var all []string
	for _, m := range messages {
		if p := m.GetPosition(); p != nil {
			all = append(all, fmt.Sprintf("%s%d", p.GetOrigin()[:1], p.GetIndex()))
		}
	}
	return strings.Join(all, " ")
}

// severalLogs is an office with two closed origins: the records of a stand among those of b.
func severalLogs(t *testing.T) (o *office, a, b closed) {
	o = newOffice(t)
	a = o.closedLog("a", start.Add(-time.Hour), 3)
	b = o.closedLog("b", start.Add(-time.Hour+1500*time.Millisecond), 3)
	o.reads(a.dir, b.dir)
	return o, a, b
}

func TestListSeveralOrigins(t *testing.T) {
	o, a, b := severalLogs(t)
	own := o.Log.Origin()
	until := timestamppb.New(start) // without what this test itself is recorded by
	filter := &heyanv1.LogFilter{EndTime: until}
	for _, test := range []struct {
		name    string
		request *heyanv1.ListLogEntriesRequest
		want    string
		read    int
	}{
		{"all", &heyanv1.ListLogEntriesRequest{Filter: filter}, "a0 a1 b0 a2 b1 a3 b2 b3", 3},
		{"limit", &heyanv1.ListLogEntriesRequest{Limit: 3}, "a0 a1 b0", 3},
		{"last", &heyanv1.ListLogEntriesRequest{Last: 3, Filter: filter}, "a3 b2 b3", 3},
		{"last of more than there are", &heyanv1.ListLogEntriesRequest{Last: 99, Filter: filter}, "a0 a1 b0 a2 b1 a3 b2 b3", 3},
		{"one that is closed", &heyanv1.ListLogEntriesRequest{Origin: b.id, StartIndex: 1}, "b1 b2 b3", 1},
		{"a range of it", &heyanv1.ListLogEntriesRequest{Origin: a.id, StartIndex: 1, EndIndex: 3}, "a1 a2", 1},
		{"an index is the own log's", &heyanv1.ListLogEntriesRequest{EndIndex: 1}, "n0", 1},
		{"the own one", &heyanv1.ListLogEntriesRequest{Origin: own, Limit: 1}, "n0", 1},
		{"going on", &heyanv1.ListLogEntriesRequest{Filter: filter, StartPositions: []*heyanv1.LogPosition{{Origin: a.id, Index: 2}, {Origin: b.id, Index: 1}}}, "a2 b1 a3 b2 b3", 3},
		{"a filter", &heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Event: "origin.born"}}, "a0 b0 n0", 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			end, got := o.list(test.request)
			accepted(t, end)
			if shown(got) != test.want {
				t.Errorf("listed %s, want %s", shown(got), test.want)
			}
			first, last := got[0], got[len(got)-1]
			if len(first.GetOrigins()) != test.read && test.read > 1 || test.read == 1 && len(first.GetOrigins()) > 0 {
				t.Errorf("begins with %v", first)
			}
			if last.GetCheckpoint() == nil || len(last.GetMissingOrigins()) > 0 || len(last.GetOtherCheckpoints()) != test.read-1 {
				t.Errorf("ends with %v", last)
			}
			if n := uint64(len(strings.Fields(test.want))); last.GetCount() != n || end.record.LogAccess.Count != n {
				t.Errorf("counts %d, recorded %+v", last.GetCount(), end.record.LogAccess)
			}
			if test.request.Origin == a.id && end.record.Object != (record.Object{Type: "origin", ID: a.id}) {
				t.Errorf("recorded of %+v", end.record.Object)
			}
		})
	}
}

// Pages of a listing of several origins are the listing: nothing is left out, nothing comes twice, with a filter too.
func TestPagesOfSeveralOrigins(t *testing.T) {
	o, _, _ := severalLogs(t)
	for _, filter := range []*heyanv1.LogFilter{{EndTime: timestamppb.New(start)}, {Event: "verification.*", EndTime: timestamppb.New(start)}} {
		_, whole := o.list(&heyanv1.ListLogEntriesRequest{Filter: filter})
		var pages []string
		request := &heyanv1.ListLogEntriesRequest{Filter: filter, Limit: 2}
		for range 9 {
			end, got := o.list(request)
			accepted(t, end)
			if len(shown(got)) == 0 {
				break
			}
			pages = append(pages, shown(got))
			request.StartPositions = got[len(got)-1].GetNextPositions()
		}
		if got := strings.Join(pages, " "); got != shown(whole) || len(pages) < 3 {
			t.Errorf("in pages: %s\nin one:   %s", got, shown(whole))
		}
	}
	// What was searched to its end goes on there, though nothing passed.
	_, got := o.list(&heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Client: "nobody"}})
	for _, p := range got[len(got)-1].GetNextPositions()[:2] {
		if p.GetIndex() != 4 {
			t.Errorf("goes on at %v", p)
		}
	}
}

// What is new follows what was; of several origins too.
func TestFollowSeveralOrigins(t *testing.T) {
	o, _, _ := severalLogs(t)
	d := &download{each: func(n int) error {
		if n == 3 { // which origins are read, and the two that were there
			go o.note(2, record.VerificationVerify, "acme")
		}
		return nil
	}}
	end, got := o.listTo(t.Context(), d, &heyanv1.ListLogEntriesRequest{Follow: true, Last: 2, Limit: 4, Filter: &heyanv1.LogFilter{Client: "acme"}})
	accepted(t, end)
	if shown(got) != "b2 b3 n1 n2" || len(got[0].GetOrigins()) != 3 || end.record.Event != record.LogFollowed {
		t.Errorf("followed %s, begins with %v", shown(got), got[0])
	}
}

// A listing that lacks an origin says so before its first record and at its end.
func TestListingNamesWhatIsMissing(t *testing.T) {
	o, a, b := severalLogs(t)
	lost := o.closedLog("l", start.Add(-2*time.Hour), 1)
	end, got := o.list(&heyanv1.ListLogEntriesRequest{})
	accepted(t, end)
	if first, last := got[0], got[len(got)-1]; !slices.Equal(first.GetMissingOrigins(), []string{lost.id}) || !slices.Equal(last.GetMissingOrigins(), []string{lost.id}) ||
		!slices.Equal(first.GetOrigins(), []string{a.id, b.id, o.Log.Origin()}) {
		t.Errorf("begins with %v and ends with %v", first, last)
	}
	// One that began later has nothing of what is asked for.
	_, got = o.list(&heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{EndTime: timestamppb.New(start.Add(-3 * time.Hour))}})
	if last := got[len(got)-1]; len(last.GetMissingOrigins()) > 0 {
		t.Errorf("before it began: %v", last)
	}
	// Asked for alone it is refused, with what to do.
	end, _ = o.list(&heyanv1.ListLogEntriesRequest{Origin: lost.id})
	refusedFor(t, end.refused, fault.ResourceNotFound)
	if !strings.Contains(end.refused.Hint, "log.also") {
		t.Errorf("hint: %s", end.refused.Hint)
	}
	end, _ = o.list(&heyanv1.ListLogEntriesRequest{Origin: "nowhere-0123456789abcdef"})
	refusedFor(t, end.refused, fault.ResourceNotFound)
	// A record that was damaged later ends the origin, and nothing else.
	files := value(filepath.Glob(filepath.Join(a.dir, "wal", "*.wal")))(t)
	content := value(os.ReadFile(files[0]))(t)
	content[strings.Index(string(content), "acme")] ^= 1
	must(t, os.WriteFile(files[0], content, 0o600))
	end, got = o.list(&heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{EndTime: timestamppb.New(start)}})
	accepted(t, end)
	if last := got[len(got)-1]; !slices.Contains(last.GetMissingOrigins(), a.id) || !strings.HasSuffix(shown(got), "b2 b3") {
		t.Errorf("listed %s, ends with %v", shown(got), last)
	}
}

func TestListSeveralOriginsRefuses(t *testing.T) {
	o, a, _ := severalLogs(t)
	at := &heyanv1.LogPosition{Origin: a.id, Index: 1}
	for _, test := range []struct {
		request   *heyanv1.ListLogEntriesRequest
		violation string
	}{
		{&heyanv1.ListLogEntriesRequest{Follow: true, Origin: a.id}, "follow OF_THE_LIVE_LOG_ONLY"},
		{&heyanv1.ListLogEntriesRequest{StartPositions: []*heyanv1.LogPosition{at, at}}, "start_positions AN_ORIGIN_TWICE"},
		{&heyanv1.ListLogEntriesRequest{StartPositions: []*heyanv1.LogPosition{at}, StartIndex: 1}, "start_positions ALONE"},
		{&heyanv1.ListLogEntriesRequest{StartPositions: []*heyanv1.LogPosition{at}, Last: 1}, "start_positions ALONE"},
		{&heyanv1.ListLogEntriesRequest{StartPositions: []*heyanv1.LogPosition{at}, Origin: a.id}, "start_positions ALONE"},
	} {
		end, _ := o.list(test.request)
		refusedFor(t, end.refused, fault.RequestMalformed, test.violation)
	}
}

func TestOriginsAndCoverageOfSeveral(t *testing.T) {
	o := newOffice(t)
	a := o.closedLog("a", start.AddDate(0, 0, -10), 3)
	b := o.closedLog("b", start.AddDate(0, 0, -3), 3)
	origins := func() (string, []string) {
		answer := accepted(t, does(o, "cai", "LogService/ListOrigins", record.LogOriginsListed, o.log.ListOrigins, &heyanv1.ListOriginsRequest{}))
		var readable []string
		for _, origin := range answer.GetOrigins() {
			if origin.GetReadable() {
				readable = append(readable, origin.GetId()[:1])
			}
		}
		return strings.Join(readable, ""), answer.GetProblems()
	}
	coverage := func() *heyanv1.LogCoverage {
		return accepted(t, does(o, "cai", "LogService/GetLogCoverage", record.LogCoverageRead, o.log.GetLogCoverage, &heyanv1.GetLogCoverageRequest{}))
	}
	if readable, _ := origins(); readable != "n" {
		t.Errorf("readable without directories: %s", readable)
	}
	if c := coverage(); c.GetShortfallDays() != 10 || len(c.GetMissingOrigins()) != 2 {
		t.Errorf("coverage without directories: %v", c)
	}
	o.reads(a.dir, b.dir, filepath.Join(a.dir, "none"), a.dir)
	readable, problems := origins()
	if readable != "abn" || len(problems) != 2 || !strings.HasPrefix(problems[0], "place 3: UNREADABLE: ") || problems[1] != "place 4: TWICE "+a.id {
		t.Errorf("readable: %s, problems: %q", readable, problems)
	}
	c := coverage()
	if c.GetRequiredFrom() != "2026-11-12" || c.GetShortfallDays() != 8 || len(c.GetMissingOrigins()) != 0 || !c.GetOldestTime().AsTime().Equal(start.AddDate(0, 0, -10)) {
		t.Errorf("coverage: %v", c)
	}
	if gaps := c.GetGaps(); len(gaps) != 2 || gaps[0].GetReason() != gapBetween || gaps[0].GetOrigin() != b.id || !gaps[0].GetEndTime().AsTime().Equal(start.AddDate(0, 0, -3)) {
		t.Errorf("gaps: %v", gaps)
	}
	// The store knows more of it than lies there.
	signer := value(tree.NewSigner(a.id, a.signing))(t)
	o.listed(a.id, OriginRow{Node: "a", Key: a.key, FirstTime: start.AddDate(0, 0, -10), Checkpoint: value(signer.Sign(9, tree.Hash{1}))(t)})
	if gaps := coverage().GetGaps(); gaps[2].GetReason() != gapNotHere || gaps[2].GetStartIndex() != 4 || gaps[2].GetEndIndex() != 9 || gaps[2].GetOrigin() != a.id {
		t.Errorf("gaps: %v", gaps)
	}
	_, got := o.list(&heyanv1.ListLogEntriesRequest{})
	if !slices.Equal(got[0].GetMissingOrigins(), []string{a.id}) {
		t.Errorf("a listing begins with %v", got[0])
	}
}

// A closed origin is exported, verified and told by its checkpoint like the own one.
func TestAClosedOriginIsProven(t *testing.T) {
	o, a, b := severalLogs(t)
	_, got := o.list(&heyanv1.ListLogEntriesRequest{Origin: a.id})
	leaf := got[2].GetLeaf()
	reader := value(netlog.OpenReader(netlog.ReaderOptions{Dir: a.dir}))(t)
	proof := value(reader.Proof(t.Context(), 2))(t)
	must(t, reader.Close())
	verify := func(origin string, receipts ...*heyanv1.Receipt) outcome[*heyanv1.VerifyLogResponse] {
		return does(o, "cai", "LogService/VerifyLog", record.LogVerified, o.log.VerifyLog, &heyanv1.VerifyLogRequest{Origin: origin, Checkpoints: [][]byte{a.head}, Receipts: receipts})
	}
	end := verify(a.id, &heyanv1.Receipt{Leaf: leaf, Proof: proof})
	if r := accepted(t, end); !r.GetWhole() || r.GetRecords() != 4 || r.GetAnchored() != 2 || string(r.GetCheckpoint().GetNote()) != string(a.head) || end.record.Object.ID != a.id {
		t.Errorf("verified: %v, of %+v", r, end.record.Object)
	}
	if r := accepted(t, verify(b.id)); r.GetWhole() || r.GetAnchored() != 0 {
		t.Errorf("against another log's checkpoint: %v", r)
	}
	refusedFor(t, verify(a.id, &heyanv1.Receipt{Leaf: leaf}).refused, fault.RequestMalformed, "receipts LEAF_AND_PROOF")
	refusedFor(t, verify(a.id, make([]*heyanv1.Receipt, 101)...).refused, fault.RequestTooLarge, "receipts AT_MOST_100")

	checkpoint := accepted(t, does(o, "cai", "LogService/GetCheckpoint", record.LogCheckpointRead, o.log.GetCheckpoint, &heyanv1.GetCheckpointRequest{Origin: b.id}))
	if string(checkpoint.GetNote()) != string(b.head) {
		t.Errorf("checkpoint: %v", checkpoint)
	}
	// A server that was killed may not have told the store of its last records.
	o.listed(b.id, OriginRow{Node: "b", Key: b.key, FirstTime: start.Add(-time.Hour)})
	checkpoint = accepted(t, does(o, "cai", "LogService/GetCheckpoint", record.LogCheckpointRead, o.log.GetCheckpoint, &heyanv1.GetCheckpointRequest{Origin: b.id}))
	if string(checkpoint.GetNote()) != string(b.head) {
		t.Errorf("checkpoint that the store lacks: %v", checkpoint)
	}
	exported, p := o.export(&heyanv1.ExportLogRequest{Origin: b.id, StartIndex: 1})
	accepted(t, exported)
	if p.begin.GetOrigin() != b.id || !slices.Equal(p.indexes(), []uint64{1, 2, 3}) || string(p.end.GetCheckpoint().GetNote()) != string(b.head) {
		t.Errorf("exported %v of %v, ends with %v", p.indexes(), p.begin, p.end)
	}
}

// A receipt of an answer that was given before the log was begun anew is read from the closed one, by its client only.
func TestReceiptFromAClosedOrigin(t *testing.T) {
	o := newOffice(t)
	service, acme := NewVerification(o.Deps), o.client("acme")
	v := made(o.world, acme, verifyRequest(1, "测试一致"))
	id := value(ledger.ParseID(v.GetId()))(t)
	own := value(o.Log.Get(t.Context(), v.GetLogEntry().GetIndex()))(t)
	dir, signing := filepath.Join(t.TempDir(), "z"), newKey(t)
	log := value(netlog.Create(netlog.Options{Dir: dir, Node: "z", Now: o.Now, SigningKey: signing}, "init"))(t)
	ticket := value(log.Append(own))(t)
	must(t, ticket.Wait(t.Context()))
	o.listed(log.Origin(), OriginRow{Node: "z", Key: log.Key(), FirstTime: o.Now()})
	must(t, o.store.Restamp(t.Context(), "acme", id, ledger.Position{Origin: log.Origin(), Index: 1}))
	get := func() outcome[*heyanv1.Receipt] {
		return run(o.world, acme, service.GetReceipt, &heyanv1.GetReceiptRequest{Id: v.GetId()})
	}
	must(t, log.Close())
	refusedFor(t, get().refused, fault.ResourceNotFound)
	o.reads(dir)
	receipt := accepted(t, get())
	verifier := value(tree.NewVerifier(log.Key()))(t)
	if c, err := value(tree.ParseProof(receipt.GetProof()))(t).Verify(receipt.GetLeaf(), verifier); err != nil || c.Origin != log.Origin() {
		t.Errorf("the receipt is of %v, %v", c, err)
	}
	refusedFor(t, run(o.world, o.client("other"), service.GetReceipt, &heyanv1.GetReceiptRequest{Id: v.GetId()}).refused, fault.ResourceNotFound)
}
