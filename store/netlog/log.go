package netlog

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/store/netlog/wal"
)

// start takes the directory's lock, reads what is there, begins a file and starts the goroutines.
func start(opt Options, signer *tree.Signer, recover func(*Reader) error) (*Log, error) {
	lockName := filepath.Join(opt.Dir, lockFile)
	lock, err := disk.Lock(lockName)
	if err != nil {
		return nil, err
	}
	l := &Log{
		opt: opt, signer: signer, lock: lock,
		wake: make(chan struct{}, 1), drained: make(chan struct{}), stopped: make(chan struct{}),
		sealer:  sealer{wake: make(chan struct{}, 1), now: make(chan chan error)},
		reserve: reserve{wake: make(chan struct{}, 1)},
	}
	err = func() error {
		verifier, err := tree.NewVerifier(signer.Key())
		if err != nil {
			return err
		}
		l.Reader = newReader(opt.Dir, verifier, opt.SealKey)
		l.tiles.FS = opt.FS
		if err := recover(l.Reader); err != nil {
			return err
		}
		if l.frontier, err = tree.Load(l.size, l.Reader); err != nil {
			return err
		}
		if err := l.guard(lockName); err != nil {
			return err
		}
		return l.begin(head{size: l.frontier.Size(), root: l.frontier.Root()})
	}()
	if err != nil {
		if l.Reader != nil {
			l.Reader.Close()
		}
		lock.Close()
		return nil, err
	}
	go l.write()
	l.tasks.Go(l.seal)
	l.wakeSealing()
	l.tasks.Go(l.watchDisk)
	l.tasks.Go(l.watchProgress)
	if opt.Reserve > 0 {
		l.tasks.Go(l.keepReserve)
	}
	return l, nil
}

// begin makes the next write-ahead file, after the durable tree h. After every start this is a fresh one: see package
// wal on nonces.
func (l *Log) begin(h head) error {
	name := filepath.Join(l.dir, walDir, fmt.Sprintf("%020d%s", h.size, walSuffix))
	header := wal.Header{Origin: l.Origin(), First: h.size, Root: h.root}
	file, err := l.createFile(name, header)
	if err != nil {
		return err
	}
	id, err := disk.Identify(name)
	if err != nil {
		file.Close()
		return err
	}
	l.file = file
	l.part = &part{path: name, first: h.size, end: h.size, bytes: file.Size(), identity: id, memory: &memory{}}
	l.addPart(l.part)
	l.watched.follow(id, file.Size())
	l.day = day(l.opt.Now())
	return nil
}

// wakeSealing says that there may be something to seal.
func (l *Log) wakeSealing() {
	select {
	case l.sealer.wake <- struct{}{}:
	default:
	}
}

// rotate closes the full file and begins the next. The full one's sidecar is written beside the work.
func (l *Log) rotate(h head) error {
	l.watched.mayShrink(l.file.Size())
	if err := errors.Join(l.file.Trim(), l.file.Close()); err != nil {
		return err
	}
	full := l.part
	if err := l.begin(h); err != nil {
		return err
	}
	l.tasks.Go(func() {
		if err := l.withReserve(func() error { return l.settle(l.opt.FS, full) }); err != nil {
			// The tree of the file stays in memory; refill, or the next start, makes the sidecar.
			l.settleLater(full)
			l.opt.Warn(fmt.Errorf("netlog: sidecar of %s: %w", filepath.Base(full.path), err))
		}
		l.wakeSealing()
	})
	return nil
}

// Close writes what is queued, ends the log and releases the directory. Records appended before it are durable or
// their Wait fails. It is bounded as an append is; after a stop it returns the cause. Only the first call does
// anything.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return nil
	}
	l.closing = true
	l.mu.Unlock()
	l.wakeUp()
	select {
	case <-l.drained:
	case <-l.stopped: // the writer may hang in a system call
	}
	err := l.failure()
	l.stop(ErrClosed)
	select {
	case <-l.drained:
		l.tasks.Wait()
		if err == nil {
			err = l.file.Trim()
		}
		err = errors.Join(err, l.file.Close())
		l.Reader.Close()
		l.lock.Close()
	default:
		// The writer still hangs in the disk. Its file and the lock stay: nobody else may write yet.
	}
	return err
}
