package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"google.golang.org/grpc"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier/fault"
)

// maxLast is how many records "last" may ask for: so many of each origin are collected before the first is sent.
const maxLast = 10_000

// errEnough ends a reading when the limit is reached.
var errEnough = errors.New("api: enough")

// listing is one ListLogEntries at work.
type listing struct {
	d       *Deps
	stream  grpc.ServerStreamingServer[heyanv1.ListLogEntriesResponse]
	query   *logQuery
	sources []*listed
	missing []string // origins that cannot be read, or only in part
	limit   uint64
	sent    uint64
}

// listed is one origin of a listing.
type listed struct {
	origins.Log
	from, to uint64 // [from, to), without what follow adds
	next     uint64 // index after the last record read
	amended  map[uint64]string
}

// ListLogEntries streams records in order. Nothing is buffered: where the caller reads slowly, reading waits.
func (l *Log) ListLogEntries(req *heyanv1.ListLogEntriesRequest, stream grpc.ServerStreamingServer[heyanv1.ListLogEntriesResponse]) error {
	ctx := stream.Context()
	call := journal.From(ctx)
	if req.GetFollow() {
		call.Event = record.LogFollowed
	}
	query, f := queryOf(req.GetFilter())
	if f == nil {
		f = l.checkListing(req)
	}
	if f != nil {
		return f
	}
	s := &listing{d: l.d, stream: stream, query: query, limit: req.GetLimit()}
	if err := l.sources(ctx, s, req); err != nil {
		return err
	}
	defer func() {
		call.SetAccess(s.access())
	}()
	err := s.run(ctx, req)
	switch {
	case errors.Is(err, errEnough):
		err = nil
	case err != nil:
		return unreadable(ctx, err)
	}
	if req.GetFollow() {
		return nil
	}
	return stream.Send(s.last())
}

// checkListing refuses what cannot be meant.
func (l *Log) checkListing(req *heyanv1.ListLogEntriesRequest) *fault.Fault {
	indexed := req.GetStartIndex() != 0 || req.GetEndIndex() != 0
	switch {
	case req.GetFollow() && req.GetEndIndex() != 0:
		return malformed("end_index", "NOT_WITH_FOLLOW")
	case req.GetFollow() && req.GetOrigin() != "" && req.GetOrigin() != l.d.Log.Origin():
		return malformed("follow", "OF_THE_LIVE_LOG_ONLY")
	case req.GetLast() > maxLast:
		return malformed("last", "AT_MOST_10000")
	case len(req.GetStartPositions()) > 0 && (indexed || req.GetLast() > 0 || req.GetOrigin() != ""):
		return malformed("start_positions", "ALONE")
	}
	seen := map[string]bool{}
	for _, p := range req.GetStartPositions() {
		if seen[p.GetOrigin()] {
			return malformed("start_positions", "AN_ORIGIN_TWICE")
		}
		seen[p.GetOrigin()] = true
	}
	return nil
}

// amendments returns what became of an origin's records later, by index.
func (l *Log) amendments(ctx context.Context, origin string) (map[uint64]string, error) {
	prefix := origin + "/"
	documents, err := l.d.Store.ListDocuments(ctx, store.Amendments, prefix, "", 0)
	if err != nil {
		return nil, storeFault(err)
	}
	amended := make(map[uint64]string, len(documents))
	for _, document := range documents {
		index, err := strconv.ParseUint(document.ID[len(prefix):], 10, 64)
		var event string
		if err != nil || json.Unmarshal(document.Value, &event) != nil {
			return nil, fault.New(fault.StoreUnavailable).WithCause(errors.New("api: an amendment cannot be read"))
		}
		amended[index] = event
	}
	return amended, nil
}

// run reads what is there, and then, with follow, what comes.
func (s *listing) run(ctx context.Context, req *heyanv1.ListLogEntriesRequest) error {
	if err := s.first(); err != nil {
		return err
	}
	var err error
	if n := int(req.GetLast()); n > 0 {
		err = s.newest(ctx, n)
	} else {
		err = s.past(ctx)
	}
	if err != nil || !req.GetFollow() {
		return err
	}
	for _, src := range s.sources {
		if src.Origin() == s.d.Log.Origin() {
			return s.d.Log.Follow(ctx, src.to, func(index uint64, leaf []byte) error { return s.entry(src, index, leaf) })
		}
	}
	return nil
}

// entry sends one record if it passes.
func (s *listing) entry(src *listed, index uint64, leaf []byte) error {
	src.next = index + 1
	pass, err := s.query.passes(leaf)
	if err != nil || !pass {
		return err
	}
	return s.send(src, index, bytes.Clone(leaf))
}

// send gives leaf away: gRPC may read a message after Send has returned.
func (s *listing) send(src *listed, index uint64, leaf []byte) error {
	src.next = index + 1
	hash := tree.LeafHash(leaf)
	if err := s.stream.Send(&heyanv1.ListLogEntriesResponse{
		Position: &heyanv1.LogPosition{Origin: src.Origin(), Index: index}, Leaf: leaf, LeafHash: hash[:], AmendedBy: src.amended[index],
	}); err != nil {
		return fault.New(fault.CallerCancelled).WithCause(err)
	}
	if s.sent++; s.limit > 0 && s.sent >= s.limit {
		return errEnough
	}
	return nil
}

type found struct {
	index uint64
	leaf  []byte
}

// newest returns the last n records of a source that pass. It reads backwards, in windows that grow, since those asked
// for mostly stand near the end.
func (q *logQuery) newest(ctx context.Context, src *listed, n int) ([]found, error) {
	var kept []found
	to := src.to
	for window := uint64(1024); to > src.from && len(kept) < n; window *= 2 {
		low := src.from
		if to-src.from > window {
			low = to - window
		}
		var part []found
		err := q.scan(ctx, src, low, to, func(index uint64, leaf []byte) error {
			if len(part) == n {
				part = part[1:]
			}
			part = append(part, found{index, bytes.Clone(leaf)})
			return nil
		})
		if err != nil {
			return nil, err
		}
		kept, to = append(part, kept...), low
	}
	return kept[max(0, len(kept)-n):], nil
}
