package netlog

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/segment"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Sealing is what one new segment is.
type Sealing struct {
	Manifest
	Took time.Duration
}

// sealer is the part of a log that makes segments of closed write-ahead files, in the background and in this order:
// segment (written, flushed, read back, renamed), manifest, tiles, and only then the files whose records are all sealed
// are removed. A segment ends with a whole frame of 256 records: the write-ahead file with the rest stays until the next
// segment holds that, too. So a crash at any step leaves every record in one of the two, and the next start goes on.
type sealer struct {
	wake chan struct{}   // one token: a file was closed
	now  chan chan error // somebody asks for it

	mu     sync.Mutex
	told   func(Sealing)
	untold []Sealing
}

// day numbers the days of Asia/Shanghai, which has had no other offset since 1991.
func day(t time.Time) int64 { return (t.Unix() + 8*3600) / 86400 }

// seal is the goroutine that seals.
func (l *Log) seal() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-l.stopped
		cancel()
	}()
	for {
		var asked chan error
		select {
		case <-l.stopped:
			return
		case <-l.sealer.wake:
		case asked = <-l.sealer.now:
		}
		err := l.sealDue(ctx, asked != nil)
		if asked != nil {
			asked <- err
		} else if err != nil && ctx.Err() == nil {
			// Nothing is lost: the records stay where they are, and the next closed file, or start, tries again.
			l.opt.Warn(fmt.Errorf("netlog: sealing: %w", err))
		}
	}
}

// Seal closes the live file and seals every whole frame there is, and returns when that is done.
func (l *Log) Seal(ctx context.Context) error {
	l.rotateNow.Store(true)
	l.wakeUp()
	if err := l.until(ctx, func() bool { return !l.rotateNow.Load() && l.closedEnd() >= l.liveFirst() }); err != nil {
		return err
	}
	done := make(chan error, 1)
	select {
	case l.sealer.now <- done:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.stopped:
		return l.failure()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-l.stopped:
		return l.failure()
	}
}

// until waits for what the writer or a task of its does.
func (l *Log) until(ctx context.Context, done func() bool) error {
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.stopped:
			return l.failure()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// liveFirst returns the index that the live file begins with.
func (l *Log) liveFirst() uint64 {
	l.Reader.mu.RLock()
	defer l.Reader.mu.RUnlock()
	return l.parts[len(l.parts)-1].first
}

// sealDue makes the segments that are due: whenever there are records for a full one, and at the end of a day, or when
// asked, for whatever frames are whole.
func (l *Log) sealDue(ctx context.Context, asked bool) error {
	for {
		from, end := l.sealedEnd(), l.closedEnd()/segment.FrameRecords*segment.FrameRecords
		most := uint64(l.opt.SegmentRecords) / segment.FrameRecords * segment.FrameRecords
		if end <= from {
			return nil
		}
		if end-from < most && !asked {
			old, err := l.fromAnEarlierDay(ctx, from)
			if err != nil || !old {
				return err
			}
		}
		if err := l.withReserve(func() error { return l.sealOne(ctx, from, min(end, from+most)) }); err != nil {
			return err
		}
	}
}

// closedEnd returns the index behind the last record of the files that are closed and have their sidecar.
func (l *Log) closedEnd() (end uint64) {
	l.Reader.mu.RLock()
	defer l.Reader.mu.RUnlock()
	end = l.parts[0].first
	for _, p := range l.parts[:len(l.parts)-1] {
		if p.memory != nil {
			break
		}
		end = p.end
	}
	return end
}

func (l *Log) fromAnEarlierDay(ctx context.Context, index uint64) (bool, error) {
	leaf, err := l.Get(ctx, index)
	if err != nil {
		return false, err
	}
	r, err := record.Parse(leaf)
	return err == nil && day(r.Time) < day(l.opt.Now()), err
}

// sealOne makes one segment.
func (l *Log) sealOne(ctx context.Context, from, end uint64) error {
	begun := time.Now()
	if err := disk.MakeDir(l.opt.FS, filepath.Join(l.dir, segmentDir)); err != nil {
		return err
	}
	name := segmentName(l.dir, from)
	done, err := l.writeSegment(ctx, name, from, end)
	if err != nil {
		return err
	}
	m := newManifest(done, l.opt.Region)
	if err := m.write(l.opt.FS, name); err != nil {
		return err
	}
	if err := l.tiles.Extend(from/segment.FrameRecords, done.Footer.Roots()); err != nil {
		return err
	}
	id, err := disk.Identify(name)
	if err != nil {
		return err
	}
	l.addSealed(&sealedPart{Manifest: m, path: name, identity: id})
	if err := l.dropSealed(); err != nil {
		return err
	}
	l.tell(Sealing{m, time.Since(begun)})
	return nil
}

// tell hands a sealing to whoever asked to be told, or keeps it until somebody does.
func (l *Log) tell(s Sealing) {
	l.sealer.mu.Lock()
	defer l.sealer.mu.Unlock()
	if l.sealer.told == nil {
		l.sealer.untold = append(l.sealer.untold, s)
		return
	}
	l.sealer.told(s)
}

// OnSealed sets who is told of each new segment, those of before the call first. told MUST NOT wait for a sealing.
func (l *Log) OnSealed(told func(Sealing)) {
	l.sealer.mu.Lock()
	defer l.sealer.mu.Unlock()
	l.sealer.told = told
	for _, s := range l.sealer.untold {
		told(s)
	}
	l.sealer.untold = nil
}

// writeSegment writes the records [from, end) as they are in the write-ahead files, and compares the root that they give
// with that of the tree.
func (l *Log) writeSegment(ctx context.Context, name string, from, end uint64) (done segment.Sealed, err error) {
	before, err := tree.Load(from, l.Reader)
	if err != nil {
		return done, err
	}
	after, err := tree.Load(end, l.Reader)
	if err != nil {
		return done, err
	}
	w, err := segment.Create(l.opt.FS, name, l.Origin(), before, end, l.opt.SealKey, l.opt.Rand)
	if err != nil {
		return done, err
	}
	pace := pacer{last: time.Now()}
	var tokens []segment.Token
	err = l.Read(ctx, from, end, func(index uint64, leaf []byte) error {
		r, err := record.Parse(leaf)
		if err != nil {
			return fmt.Errorf("netlog: record %d: %w", index, err)
		}
		tokens = appendTokens(tokens[:0], &r)
		if err := w.Add(leaf, r.Time, int(r.Event), tokens); err != nil {
			return err
		}
		if (index+1)%segment.FrameRecords == 0 {
			return errors.Join(w.Pace(), pace.rest(ctx))
		}
		return nil
	})
	if err == nil {
		done, err = w.Seal(l.opt.SealKey, func(size uint64, root tree.Hash) ([]byte, error) {
			if size != end || root != after.Root() {
				return nil, &segmentError{filepath.Base(name), "the records read do not give the root of the log"}
			}
			return l.signer.Sign(size, root)
		}, l.verifier)
	}
	if err != nil {
		w.Abort()
	}
	return done, err
}

// pacer keeps a background work to a part of one core, so that the appends beside it have the rest.
type pacer struct{ last time.Time }

// share is how many times as long as it works a pacer rests.
const share = 2

func (p *pacer) rest(ctx context.Context) error {
	timer := time.NewTimer(share * time.Since(p.last))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.last = time.Now()
	return nil
}

// dropSealed removes the write-ahead files whose records are all sealed.
func (l *Log) dropSealed() error {
	l.files.Lock()
	defer l.files.Unlock()
	l.Reader.mu.Lock()
	var covered []*part
	for len(l.parts) > 1 && l.parts[0].end <= l.sealedEndLocked() {
		covered, l.parts = append(covered, l.parts[0]), l.parts[1:]
	}
	l.Reader.mu.Unlock()
	for _, p := range covered {
		p.close()
		if err := removeWAL(l.opt.FS, p); err != nil {
			return err
		}
	}
	return nil
}
