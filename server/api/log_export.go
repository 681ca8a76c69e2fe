package api

import (
	"bytes"
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier/fault"
)

const (
	// Sizes of messages: few enough bytes that a message is never near what gRPC takes, 4 MiB.
	exportEntries = 256
	exportBytes   = 256 << 10
	exportHashes  = 1024
	// exportQuiet is how many records are searched before a message says how far the search is.
	exportQuiet = 256 << 10
	maxAnchors  = 100
)

// exporting is one ExportLog at work. It holds one message of records and one of hashes.
type exporting struct {
	stream   grpc.ServerStreamingServer[heyanv1.ExportLogResponse]
	query    *logQuery
	amended  map[uint64]string
	head     *heyanv1.Checkpoint
	proof    *tree.Batch
	evidence []uint64    // indexes of totals that are not in the proof yet
	totals   []tree.Hash // and their hashes
	entries  []*heyanv1.ExportLogResponse_Entry
	bytes    int
	hashes   []byte
	from     uint64 // first index
	next     uint64 // index that is read next
	told     uint64 // and the one that the caller knows of
	count    uint64
}

// ExportLog streams the records that pass, and their proof in the tree of the newest checkpoint.
func (l *Log) ExportLog(req *heyanv1.ExportLogRequest, stream grpc.ServerStreamingServer[heyanv1.ExportLogResponse]) error {
	ctx := stream.Context()
	query, f := queryOf(req.GetFilter())
	switch {
	case f != nil:
		return f
	case len(req.GetAnchorSizes()) > maxAnchors:
		return fault.New(fault.RequestTooLarge).WithField("anchor_sizes", "AT_MOST_100")
	case req.GetEndIndex() != 0 && req.GetEndIndex() < req.GetStartIndex():
		return malformed("end_index", "NOT_BEFORE_START_INDEX")
	}
	log, err := l.chosen(ctx, req.GetOrigin())
	if err != nil {
		return err
	}
	amended, err := l.amendments(ctx, log.Origin())
	if err != nil {
		return err
	}
	statement, err := l.d.retentionStatement(ctx)
	if err != nil {
		return err
	}
	size := log.Size()
	filter, comparable := query.totals()
	if comparable && log == origins.Log(l.d.Log) { // a closed one is counted as far as it ever will be
		l.d.CountLog(ctx)
	}
	// What is read later is larger or equal: the log only grows.
	head := headOf(log)
	held, err := log.Coverage(ctx)
	if err != nil || head == nil {
		return unreadable(ctx, errors.Join(err, errNoHead(head)))
	}
	if !comparable {
		size = head.GetSize()
	}
	from, to := span(req, held.First, size)
	e := &exporting{stream: stream, query: query, amended: amended, head: head, from: from, next: from, told: from}
	if comparable {
		if e.evidence, err = planTotals(ctx, log, filter, from, to, head.GetSize()); err != nil {
			return unreadable(ctx, err)
		}
	}
	e.proof = tree.NewBatchProof(head.GetSize(), log, e.hash)
	defer func() {
		journal.From(ctx).SetAccess(&record.LogAccess{From: e.from, To: e.next, Count: e.count, Filters: query.names})
	}()
	if err := e.run(ctx, log, to); err != nil {
		return unreadable(ctx, err)
	}
	last := &heyanv1.ExportLogResponse_End{
		Count: e.count, Checkpoint: head, RetentionStatement: statement, Requester: journal.From(ctx).Principal.ID,
		Region: l.d.Region, MakeTime: stamp(l.d.Now()),
	}
	last.Gaps, last.OutsideCoverage = gaps(req, query, held, size)
	if last.Consistency, err = consistency(req.GetAnchorSizes(), head, log); err != nil {
		return unreadable(ctx, err)
	}
	return e.send(&heyanv1.ExportLogResponse{Part: &heyanv1.ExportLogResponse_End_{End: last}})
}

// errNoHead is why a log without a checkpoint that can be opened is not exported.
func errNoHead(head *heyanv1.Checkpoint) error {
	if head != nil {
		return nil
	}
	return errors.New("api: the log has no checkpoint of its own key")
}

// span is what is read of what was asked for: within what the log holds, and under the checkpoint.
func span(req *heyanv1.ExportLogRequest, first, size uint64) (from, to uint64) {
	if to = size; req.GetEndIndex() != 0 {
		to = min(to, req.GetEndIndex())
	}
	from = min(max(req.GetStartIndex(), first), size)
	return from, max(from, to)
}

// run reads [from, to), and ends the proof.
func (e *exporting) run(ctx context.Context, log origins.Log, to uint64) error {
	begin := &heyanv1.ExportLogResponse_Begin{Origin: e.head.GetOrigin(), StartIndex: e.from, EndIndex: to, Size: e.head.GetSize()}
	if err := e.send(&heyanv1.ExportLogResponse{Part: &heyanv1.ExportLogResponse_Begin_{Begin: begin}}); err != nil {
		return err
	}
	if err := e.sendTotals(ctx, log); err != nil {
		return err
	}
	for e.next < to {
		end := min(e.next+exportQuiet, to)
		if err := e.query.scan(ctx, log, e.next, end, e.entry); err != nil {
			return err
		}
		e.next = end
		if err := e.flushEntries(); err != nil {
			return err
		}
	}
	if err := e.proveTotals(e.head.GetSize()); err != nil {
		return err
	}
	if err := e.proof.Finish(tree.Hash(e.head.GetRoot())); err != nil {
		return err
	}
	return e.flushHashes()
}

// entry takes one record that passes.
func (e *exporting) entry(index uint64, leaf []byte) error {
	e.next = index + 1
	if err := e.proveTotals(index); err != nil {
		return err
	}
	if err := e.proof.Add(index, tree.LeafHash(leaf)); err != nil {
		return err
	}
	e.count++
	e.bytes += len(leaf)
	e.entries = append(e.entries, &heyanv1.ExportLogResponse_Entry{Index: index, Leaf: bytes.Clone(leaf), AmendedBy: e.amended[index]})
	if len(e.entries) < exportEntries && e.bytes < exportBytes {
		return nil
	}
	return e.flushEntries()
}

// hash takes one hash of the proof.
func (e *exporting) hash(h tree.Hash) error {
	e.hashes = append(e.hashes, h[:]...)
	if len(e.hashes) < exportHashes*len(h) {
		return nil
	}
	return e.flushHashes()
}

func (e *exporting) flushEntries() error {
	if e.told == e.next {
		return nil
	}
	m := &heyanv1.ExportLogResponse_Entries{Entries: e.entries, NextIndex: e.next}
	// gRPC may read a message after Send has returned: nothing of it is used again.
	e.entries, e.bytes, e.told = nil, 0, e.next
	return e.send(&heyanv1.ExportLogResponse{Part: &heyanv1.ExportLogResponse_Entries_{Entries: m}})
}

func (e *exporting) flushHashes() error {
	if len(e.hashes) == 0 {
		return nil
	}
	m := &heyanv1.ExportLogResponse_ProofHashes{ProofHashes: e.hashes}
	e.hashes = nil
	return e.send(&heyanv1.ExportLogResponse{Part: m})
}

func (e *exporting) send(m *heyanv1.ExportLogResponse) error {
	if err := e.stream.Send(m); err != nil {
		return fault.New(fault.CallerCancelled).WithCause(err)
	}
	return nil
}

// consistency proves the tree of the checkpoint to hold each older one that the log has, or has kept the hashes of.
func consistency(sizes []uint64, head *heyanv1.Checkpoint, log origins.Log) ([]*heyanv1.ConsistencyProof, error) {
	var all []*heyanv1.ConsistencyProof
	for _, older := range sizes {
		if older == 0 || older > head.GetSize() {
			continue
		}
		hashes, err := tree.ProveConsistency(older, head.GetSize(), tree.Hash(head.GetRoot()), log)
		if errors.Is(err, netlog.ErrPurged) {
			continue // with its records; of one a day hashes were kept
		}
		if err != nil {
			return nil, err
		}
		p := &heyanv1.ConsistencyProof{Size: older}
		for _, h := range hashes {
			p.Hashes = append(p.Hashes, h[:])
		}
		all = append(all, p)
	}
	return all, nil
}

// Reasons of gaps.
const (
	gapBefore = "BEFORE_FIRST_RECORD"
	gapAfter  = "AFTER_LAST_RECORD"
	gapPurged = "PURGED"
)

// gaps returns what the log does not hold of what was asked for, and whether that is all of it.
func gaps(req *heyanv1.ExportLogRequest, q *logQuery, held netlog.Coverage, size uint64) (all []*heyanv1.LogGap, everything bool) {
	start, end := req.GetStartIndex(), req.GetEndIndex()
	if start < held.First {
		gap := &heyanv1.LogGap{StartIndex: start, EndIndex: held.First, Reason: gapPurged}
		if everything = end != 0 && end <= held.First; everything {
			gap.EndIndex = end
		}
		all = append(all, gap)
	}
	if end > size || start >= size {
		all = append(all, &heyanv1.LogGap{StartIndex: max(start, size), EndIndex: end, Reason: gapAfter})
		everything = everything || start >= size
	}
	// Times of records are not quite in order: what lies within the clocks' steps of an end is held all the same.
	if !q.From.IsZero() && q.From.Before(held.Oldest) || !q.To.IsZero() && !q.To.After(held.Oldest) {
		gap := &heyanv1.LogGap{StartTime: stamp(q.From), EndTime: stamp(held.Oldest), Reason: gapBefore}
		if !q.To.IsZero() && !q.To.After(held.Oldest) {
			gap.EndTime, everything = stamp(q.To), true
		}
		all = append(all, gap)
	}
	if !q.To.IsZero() && q.To.After(held.Newest) || !q.From.IsZero() && q.From.After(held.Newest) {
		gap := &heyanv1.LogGap{StartTime: stamp(later(q.From, held.Newest)), EndTime: stamp(q.To), Reason: gapAfter}
		everything = everything || !q.From.IsZero() && q.From.After(held.Newest)
		all = append(all, gap)
	}
	return all, everything
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
