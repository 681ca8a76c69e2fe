package api

import (
	"bytes"
	"context"
	"errors"
	"slices"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// sources finds the origins that a request is about.
func (l *Log) sources(ctx context.Context, s *listing, req *heyanv1.ListLogEntriesRequest) error {
	if req.GetOrigin() != "" || req.GetStartIndex() != 0 || req.GetEndIndex() != 0 {
		log, err := l.chosen(ctx, req.GetOrigin())
		if err != nil {
			return err
		}
		return l.source(ctx, s, log, req.GetStartIndex(), req.GetEndIndex())
	}
	r, err := l.reading(ctx)
	if err != nil {
		return err
	}
	starts := map[string]uint64{}
	for _, p := range req.GetStartPositions() {
		starts[p.GetOrigin()] = p.GetIndex()
	}
	for _, row := range r.rows {
		log := r.log(row.ID)
		switch {
		case log != nil:
			err = l.source(ctx, s, log, starts[row.ID], 0)
		case s.query.To.IsZero() || row.Value.FirstTime.Before(s.query.To):
			s.miss(row.ID) // one that began later has nothing that was asked for
		}
		if err != nil {
			return err
		}
	}
	for _, id := range r.partial() {
		s.miss(id)
	}
	return nil
}

// source adds a log to a listing. A closed one that does not even say what it holds is missing.
func (l *Log) source(ctx context.Context, s *listing, log origins.Log, from, end uint64) error {
	held, err := log.Coverage(ctx)
	switch {
	case err != nil && (log == origins.Log(l.d.Log) || ctx.Err() != nil || end > 0):
		return unreadable(ctx, err)
	case err != nil:
		s.miss(log.Origin())
		return nil
	}
	src := &listed{Log: log, from: max(from, held.First), to: log.Size()}
	if end > 0 {
		src.to = min(src.to, end)
	}
	src.to = max(src.from, src.to)
	src.next = src.from
	if src.amended, err = l.amendments(ctx, log.Origin()); err != nil {
		return err
	}
	s.sources = append(s.sources, src)
	return nil
}

// miss notes that records of an origin are not in the listing.
func (s *listing) miss(origin string) {
	if !slices.Contains(s.missing, origin) {
		s.missing = append(s.missing, origin)
	}
}

// first tells what is read, where that is not one whole origin.
func (s *listing) first() error {
	if len(s.sources) < 2 && len(s.missing) == 0 {
		return nil
	}
	m := &heyanv1.ListLogEntriesResponse{MissingOrigins: s.missing}
	for _, src := range s.sources {
		m.Origins = append(m.Origins, src.Origin())
	}
	return s.stream.Send(m)
}

// past sends what is there.
func (s *listing) past(ctx context.Context) error {
	streams := make([]origins.Stream, len(s.sources))
	for i, src := range s.sources {
		streams[i] = origins.Stream{Origin: src.Origin(), Records: func(ctx context.Context, fn func(uint64, []byte) error) error {
			if err := s.query.scan(ctx, src, src.from, src.to, fn); err != nil {
				return err
			}
			src.next = src.to
			return nil
		}}
	}
	return s.merge(ctx, streams, 0)
}

// newest sends the last n records.
func (s *listing) newest(ctx context.Context, n int) error {
	streams := make([]origins.Stream, len(s.sources))
	sum := 0
	for i, src := range s.sources {
		kept, err := s.query.newest(ctx, src, n)
		sum += len(kept)
		streams[i] = origins.Stream{Origin: src.Origin(), Records: func(_ context.Context, fn func(uint64, []byte) error) error {
			for _, f := range kept {
				if err := fn(f.index, f.leaf); err != nil {
					return err
				}
			}
			src.next = src.to
			return err
		}}
	}
	return s.merge(ctx, streams, sum-n)
}

// merge sends what streams of the sources hold, by time, without the first ones. A closed origin that cannot be read to
// its end is missing; the own one, and one that was asked for alone, is an error.
func (s *listing) merge(ctx context.Context, streams []origins.Stream, skip int) error {
	show := func(src *listed, index uint64, leaf []byte) error {
		if skip > 0 {
			skip--
			return nil
		}
		return s.send(src, index, bytes.Clone(leaf))
	}
	if len(streams) == 1 {
		src := s.sources[0]
		return streams[0].Records(ctx, func(index uint64, leaf []byte) error { return show(src, index, leaf) })
	}
	byOrigin := map[string]*listed{}
	for _, src := range s.sources {
		byOrigin[src.Origin()] = src
	}
	broken, err := origins.Merge(ctx, streams, func(e origins.Entry) error { return show(byOrigin[e.Origin], e.Index, e.Leaf) })
	for _, b := range broken {
		if b.Origin == s.d.Log.Origin() {
			err = errors.Join(err, b.Err)
		}
		s.miss(b.Origin)
	}
	return err
}

// last is the message that ends a listing. Of a log whose checkpoint cannot be read it has no note.
func (s *listing) last() *heyanv1.ListLogEntriesResponse {
	m := &heyanv1.ListLogEntriesResponse{Count: s.sent, MissingOrigins: s.missing, Checkpoint: &heyanv1.Checkpoint{}}
	for i, src := range s.sources {
		head := headOf(src)
		if head == nil {
			head = &heyanv1.Checkpoint{Origin: src.Origin(), VerifierKey: src.Key()}
		}
		if len(s.sources) > 1 {
			m.NextPositions = append(m.NextPositions, &heyanv1.LogPosition{Origin: src.Origin(), Index: src.next})
		}
		if i == s.main() {
			m.Checkpoint = head
		} else {
			m.OtherCheckpoints = append(m.OtherCheckpoints, head)
		}
	}
	return m
}

// main is the source that a listing is told by: this server's own, or the one that was asked for.
func (s *listing) main() int {
	return max(0, slices.IndexFunc(s.sources, func(src *listed) bool { return src.Origin() == s.d.Log.Origin() }))
}

// access is what the log records of a listing: of several origins, the indexes of the own one, and how many records of
// all.
func (s *listing) access() *record.LogAccess {
	a := &record.LogAccess{Count: s.sent, Filters: s.query.names}
	if len(s.sources) > 0 {
		src := s.sources[s.main()]
		a.From, a.To = src.from, src.next
	}
	return a
}
