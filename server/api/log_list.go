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
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier/fault"
)

// maxLast is how many records "last" may ask for: they are collected before the first is sent.
const maxLast = 10_000

// errEnough ends a reading when the limit is reached.
var errEnough = errors.New("api: enough")

// listing is one ListLogEntries at work.
type listing struct {
	d       *Deps
	stream  grpc.ServerStreamingServer[heyanv1.ListLogEntriesResponse]
	query   *logQuery
	origin  string
	amended map[uint64]string
	limit   uint64
	sent    uint64
	end     uint64 // index after the last record read
}

// ListLogEntries streams records in order. Nothing is buffered: where the caller reads slowly, reading waits.
func (l *Log) ListLogEntries(req *heyanv1.ListLogEntriesRequest, stream grpc.ServerStreamingServer[heyanv1.ListLogEntriesResponse]) error {
	ctx := stream.Context()
	call := journal.From(ctx)
	if req.GetFollow() {
		call.Event = record.LogFollowed
	}
	query, f := queryOf(req.GetFilter())
	switch {
	case f != nil:
		return f
	case req.GetFollow() && req.GetEndIndex() != 0:
		return malformed("end_index", "NOT_WITH_FOLLOW")
	case req.GetLast() > maxLast:
		return malformed("last", "AT_MOST_10000")
	}
	amended, err := l.amendments(ctx)
	if err != nil {
		return err
	}
	s := &listing{d: l.d, stream: stream, query: query, origin: l.d.Log.Origin(), amended: amended, limit: req.GetLimit()}
	from := req.GetStartIndex()
	defer func() {
		call.SetAccess(&record.LogAccess{From: min(from, s.end), To: s.end, Count: s.sent, Filters: query.names})
	}()
	err = s.run(ctx, req, from)
	switch {
	case errors.Is(err, errEnough):
		err = nil
	case err != nil:
		return unreadable(ctx, err)
	}
	if req.GetFollow() {
		return nil
	}
	return stream.Send(&heyanv1.ListLogEntriesResponse{Checkpoint: l.live(), Count: s.sent})
}

// amendments returns what became of records later, by index.
func (l *Log) amendments(ctx context.Context) (map[uint64]string, error) {
	prefix := l.d.Log.Origin() + "/"
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
func (s *listing) run(ctx context.Context, req *heyanv1.ListLogEntriesRequest, from uint64) error {
	log := s.d.Log
	from, to := max(from, log.First()), log.Size()
	if end := req.GetEndIndex(); end != 0 {
		to = min(to, end)
	}
	if n := int(req.GetLast()); n > 0 {
		if err := s.last(ctx, from, to, n); err != nil {
			return err
		}
	} else if err := s.query.scan(ctx, log, from, to, s.found); err != nil {
		return err
	}
	s.end = max(from, to)
	if !req.GetFollow() {
		return nil
	}
	return log.Follow(ctx, s.end, s.entry)
}

// entry sends one record if it passes.
func (s *listing) entry(index uint64, leaf []byte) error {
	s.end = index + 1
	pass, err := s.query.passes(leaf)
	if err != nil || !pass {
		return err
	}
	return s.found(index, leaf)
}

// found sends a record that passes.
func (s *listing) found(index uint64, leaf []byte) error {
	s.end = index + 1
	return s.send(index, bytes.Clone(leaf))
}

// send gives leaf away: gRPC may read a message after Send has returned.
func (s *listing) send(index uint64, leaf []byte) error {
	hash := tree.LeafHash(leaf)
	if err := s.stream.Send(&heyanv1.ListLogEntriesResponse{
		Position: &heyanv1.LogPosition{Origin: s.origin, Index: index}, Leaf: leaf, LeafHash: hash[:], AmendedBy: s.amended[index],
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

// last sends the last n records that pass. It reads backwards, in windows that grow, since those asked for mostly
// stand near the end.
func (s *listing) last(ctx context.Context, from, to uint64, n int) error {
	var kept []found
	s.end = to
	for window := uint64(1024); to > from && len(kept) < n; window *= 2 {
		low := from
		if to-from > window {
			low = to - window
		}
		var part []found
		err := s.query.scan(ctx, s.d.Log, low, to, func(index uint64, leaf []byte) error {
			if len(part) == n {
				part = part[1:]
			}
			part = append(part, found{index, bytes.Clone(leaf)})
			return nil
		})
		if err != nil {
			return err
		}
		kept, to = append(part, kept...), low
	}
	for _, f := range kept[max(0, len(kept)-n):] {
		if err := s.send(f.index, f.leaf); err != nil {
			return err
		}
	}
	return nil
}
