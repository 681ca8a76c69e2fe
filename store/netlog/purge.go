package netlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/retention"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// ErrNotPurgeable means that records may not be purged, or cannot be. The error that matches it says why.
var ErrNotPurgeable = errors.New("netlog: records cannot be purged")

// Purging is what becomes of the oldest records.
type Purging struct {
	// To is the new minimum index: the end of a segment.
	To uint64
	// Keep is the sizes of trees whose checkpoints left the machine, and which the log is to stay provable against. Those
	// that are not among what is purged now are left out.
	Keep []uint64
	// Record makes a record log.minimum_raised with that Purge durable, and returns its index. Required.
	Record func(record.Purge) (index uint64, err error)
}

// Expendable returns the segments that can be purged, from the oldest on: those whose records no write-ahead file
// repeats. Whether they may be is the caller's question to package retention.
func (r *Reader) Expendable() ([]Manifest, error) {
	names, err := walNames(r.dir)
	if err != nil {
		return nil, err
	}
	all := r.Segments()
	if len(names) == 0 {
		return all, nil
	}
	begins, ok := firstOf(names[0])
	for i := range all {
		if !ok || all[i].End > begins {
			return all[:i], nil
		}
	}
	return all, nil
}

// Raise gives up the records before a new minimum index, in this order, each step durable before the next: the hashes that
// are kept of them, the record that says so, and the signed file of the minimum index. From then on reads of the records
// end with [ErrPurged], and there is no way back. The segments stay on the disk until [Log.RemovePurged]; in between
// whoever reads the files beside this log has the time to see it. After a crash the next start removes them.
//
// It refuses with [ErrNotPurgeable] what is younger than the six calendar months that no policy goes below, whatever the
// caller has found.
func (l *Log) Raise(p Purging) (done record.Purge, err error) {
	l.purging.Lock()
	defer l.purging.Unlock()
	if done, err = l.purgeable(p.To); err != nil {
		return done, err
	}
	m := minimum{index: p.To}
	if m.frontier, err = tree.Load(p.To, l.Reader); err != nil {
		return done, err
	}
	e, err := l.keepEdges(p, &done)
	if err != nil {
		return done, err
	}
	if m.record, err = p.Record(done); err != nil {
		return done, err
	}
	return done, l.raise(m, e)
}

// RemovePurged removes the segments before the minimum index, from the oldest on, and returns what they held; the zero
// Purge where there were none. It MUST have returned before Close.
func (l *Log) RemovePurged() (removed record.Purge, err error) {
	l.purging.Lock()
	defer l.purging.Unlock()
	if err := l.Healthy(); err != nil {
		return removed, err
	}
	return l.removePurged(l.opt.FS)
}

// purgeable describes the purge to an index, or says why it cannot be.
func (l *Log) purgeable(to uint64) (p record.Purge, err error) {
	all, err := l.Expendable()
	if err != nil {
		return p, err
	}
	p.From = l.First()
	for _, m := range all {
		if m.End > to {
			break
		}
		if m.Latest.After(p.Latest) {
			p.Latest = m.Latest
		}
		p.To, p.Segments, p.Bytes = m.End, p.Segments+1, p.Bytes+uint64(m.Bytes)
	}
	floor := retention.Policy{Months: retention.Floor}.PurgeableFrom(p.Latest)
	switch {
	case p.To != to || to == 0:
		return p, fmt.Errorf("%w: %d is not the end of a segment that stands alone", ErrNotPurgeable, to)
	case l.opt.Now().Before(floor):
		return p, fmt.Errorf("%w: not before %s", ErrNotPurgeable, floor.UTC().Format(time.RFC3339))
	}
	return p, l.Healthy()
}

// keepEdges makes the hashes durable that are kept of what is purged.
func (l *Log) keepEdges(p Purging, done *record.Purge) (edges, error) {
	e, err := readEdges(l.dir, l.Origin())
	if err != nil {
		return e, err
	}
	for _, size := range p.Keep {
		if size <= done.From || size >= p.To || e.keeps(size) {
			continue
		}
		if err := e.with(size, l.Reader); err != nil {
			return e, err
		}
	}
	done.Kept = uint64(len(e.sizes))
	if len(e.sizes) == 0 {
		return e, nil
	}
	return e, e.write(l.opt.FS, l.dir, l.Origin())
}

// raise makes the minimum index durable, once its record is, and takes it.
func (l *Log) raise(m minimum, e edges) error {
	leaf, err := l.Get(context.Background(), m.record)
	if err != nil {
		return fmt.Errorf("netlog: the record that raises the minimum index: %w", err)
	}
	if r, err := record.Parse(leaf); err != nil || !raises(&r, m.index) {
		return fmt.Errorf("netlog: record %d does not raise the minimum index to %d", m.record, m.index)
	}
	if err := m.write(l.opt.FS, l.dir, l.signer); err != nil {
		return err
	}
	l.setMinimum(m, e)
	return nil
}

// removePurged removes the segments before the minimum index, from the oldest on.
func (r *Reader) removePurged(fsys disk.FS) (removed record.Purge, err error) {
	names, err := segmentNames(r.dir)
	if err != nil {
		return removed, err
	}
	// The watch looks at the segments that are known. These are not, but it may have begun before.
	r.files.Lock()
	defer r.files.Unlock()
	for _, name := range names {
		first, ok := firstOf(name)
		if !ok || first >= r.First() {
			continue
		}
		if info, err := os.Stat(name); err == nil {
			removed.Bytes += uint64(info.Size())
		}
		if removed.To = r.First(); removed.Segments == 0 {
			removed.From = first
		}
		r.segments.drop(name)
		for _, file := range []string{name, manifestName(name)} {
			if err := fsys.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return removed, err
			}
		}
		removed.Segments++
	}
	if removed.Segments == 0 {
		return removed, nil
	}
	return removed, fsys.SyncDir(filepath.Join(r.dir, segmentDir))
}

// drop closes a segment that is to be removed, at once or when those who read it are done: its bytes are free only then.
func (s *segments) drop(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.open[path]
	if o == nil {
		return
	}
	if o.dropped = true; o.users == 0 {
		o.file.Close()
		delete(s.open, path)
	}
}
