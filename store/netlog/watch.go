package netlog

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk"
)

// watchEvery is how often the files are looked at: what happens to them is noticed within a second.
const watchEvery = 500 * time.Millisecond

// watched is what the watch looks at.
type watched struct {
	// The live file's size lies between durable and planned: less is a truncation, more a second writer.
	durable atomic.Int64
	planned atomic.Int64

	mu      sync.Mutex
	live    disk.Identity
	guarded []disk.Identity
}

// follow makes id the live file.
func (w *watched) follow(id disk.Identity, size int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.live = id
	w.durable.Store(size)
	w.planned.Store(size)
}

// mayShrink says that the live file is about to be cut to size. It waits for a check that is under way, which compares
// with the larger one.
func (w *watched) mayShrink(size int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.durable.Store(size)
}

// guard makes the watch stop the log when path is unlinked or replaced.
func (l *Log) guard(path string) error {
	id, err := disk.Identify(path)
	if err != nil {
		return err
	}
	l.watched.mu.Lock()
	defer l.watched.mu.Unlock()
	l.watched.guarded = append(l.watched.guarded, id)
	return nil
}

// check looks at all files once. An error is a reason to stop.
func (w *watched) check() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.guarded {
		if _, err := id.Check(); err != nil {
			return err
		}
	}
	durable := w.durable.Load()
	size, err := w.live.Check()
	if err != nil {
		return err
	}
	if size < durable || size > w.planned.Load() {
		return ErrSecondWriter
	}
	return nil
}

// checkClosed looks at the files that are closed: they are there, with the size they had.
func (r *Reader) checkClosed() error {
	r.files.Lock()
	defer r.files.Unlock()
	v := r.snapshot()
	if err := r.checkSealed(v.sealed); err != nil {
		return err
	}
	parts := v.parts
	if len(parts) == 0 {
		return nil
	}
	for _, p := range parts[:len(parts)-1] {
		size, err := p.identity.Check()
		if err != nil {
			return err
		}
		if size != p.bytes {
			return fmt.Errorf("%w: %s", ErrSecondWriter, filepath.Base(p.path))
		}
	}
	return nil
}

// sealedAtOnce is how many segments one look covers: years of them are looked at within a minute or so.
const sealedAtOnce = 256

// checkSealed looks at the next few segments.
func (r *Reader) checkSealed(sealed []*sealedPart) error {
	for range min(sealedAtOnce, len(sealed)) {
		s := sealed[r.looked%len(sealed)]
		r.looked++
		if size, err := s.identity.Check(); err != nil {
			return err
		} else if size != s.Bytes {
			return fmt.Errorf("%w: %s", ErrSecondWriter, filepath.Base(s.path))
		}
	}
	return nil
}

// watchDisk stops the log when a file is not what it was. A disk that hangs here is noticed by watchProgress.
func (l *Log) watchDisk() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.stopped:
			return
		case <-tick.C:
			if err := errors.Join(l.watched.check(), l.checkClosed()); err != nil {
				l.stop(err)
				return
			}
		}
	}
}

// watchProgress stops the log when one commit takes longer than half of AppendTimeout: a record waits for at most two,
// the one in flight and its own. It touches no file, so it cannot hang with the disk, and costs the writer nothing.
func (l *Log) watchProgress() {
	const steps = 4 // in half of the timeout
	tick := time.NewTicker(max(l.opt.AppendTimeout/(2*(steps+1)), time.Millisecond))
	defer tick.Stop()
	var last uint64
	stuck := 0
	for {
		select {
		case <-l.stopped:
			return
		case <-tick.C:
			l.mu.Lock()
			busy := l.inflight != nil || l.queue != nil
			l.mu.Unlock()
			if now := l.commits.Load(); !busy || now != last {
				last, stuck = now, 0
				continue
			}
			if stuck++; stuck >= steps {
				l.stop(ErrTimeout)
				return
			}
		}
	}
}
