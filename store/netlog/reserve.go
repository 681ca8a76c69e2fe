package netlog

import (
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/wal"
)

// The room that a log takes ahead, where Options.Reserve asks for it, in three parts: the rest of the live file, all of
// the next one, and a reserve for sealing, which needs room for a segment before it can give back that of the files it
// was made of. So whatever else writes to the disk, the log has the first two for its last words, and the third to make
// room again. They have temporary names: whatever a crash leaves of them a start removes, and then takes anew.
//
// Taking a file's room ahead leaves its size alone, so recovery and the watch for a second writer see what they saw
// without it. Flushes are hardly faster by it (0.9 to 1.0 of the time on ext4); they are by the zeros that package wal
// writes ahead (wal.Pave, 0.7 to 0.9, with room taken or not), since what makes a flush slow is a change of size, not the
// want of blocks. BenchmarkAhead measures it.

const (
	spareFile   = "next" + disk.TempSuffix    // in walDir
	reserveFile = "reserve" + disk.TempSuffix // in the log's directory

	// refillEvery is how often it is tried to take room that could not be had.
	refillEvery = 10 * time.Second
	// beyond is how much of a file may lie behind FileSize: the last batch and the zeros ahead of it. A larger batch
	// takes its room when it is written.
	beyond = 4*wal.Pave + 1<<20
)

type reserve struct {
	wake    chan struct{} // one token: the spare was used
	live    atomic.Int64  // bytes that the live file has taken
	spare   atomic.Bool   // the next file's room is there
	lacking atomic.Bool   // there was no room for the spare when it was last tried
	able    atomic.Bool   // the system can take room ahead

	mu        sync.Mutex // held while room is taken, so that nobody asks what is not known yet
	sealing   bool       // the room for a segment is there
	unsettled []*part
}

func (l *Log) spareName() string   { return filepath.Join(l.dir, walDir, spareFile) }
func (l *Log) reserveName() string { return filepath.Join(l.dir, reserveFile) }

// fileRoom is the room of one write-ahead file.
func (l *Log) fileRoom() int64 { return l.opt.FileSize + beyond }

// createFile makes a write-ahead file in the room that was taken for it, where there is such.
func (l *Log) createFile(name string, h wal.Header) (*wal.Writer, error) {
	if l.opt.Reserve <= 0 {
		return wal.Create(l.opt.FS, name, h, l.opt.SealKey, l.pave(), l.opt.Rand)
	}
	l.reserve.mu.Lock()
	defer l.reserve.mu.Unlock()
	if l.reserve.spare.CompareAndSwap(true, false) {
		file, err := wal.CreateIn(l.opt.FS, l.spareName(), name, h, l.opt.SealKey, l.pave(), l.opt.Rand)
		if err == nil {
			l.reserve.live.Store(l.fileRoom())
			l.wakeRefill()
		}
		return file, err
	}
	file, err := wal.Create(l.opt.FS, name, h, l.opt.SealKey, l.pave(), l.opt.Rand)
	if err != nil {
		return nil, err
	}
	l.reserve.live.Store(0)
	// Without its room taken ahead a file is as good, as long as the disk has some.
	if ok, _ := file.Allocate(l.fileRoom()); ok {
		l.reserve.able.Store(true)
		l.reserve.live.Store(l.fileRoom())
	}
	l.wakeRefill()
	return file, nil
}

func (l *Log) pave() int64 { return min(wal.Pave, l.opt.FileSize) }

func (l *Log) wakeRefill() {
	select {
	case l.reserve.wake <- struct{}{}:
	default:
	}
}

// keepReserve is the goroutine that takes room.
func (l *Log) keepReserve() {
	tick := time.NewTicker(refillEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.stopped:
			return
		case <-l.reserve.wake:
		case <-tick.C:
		}
		l.refill()
	}
}

// refill takes what is missing, and writes sidecars that there was no room for. What cannot be had is tried again later;
// [Log.Room] says how it stands.
func (l *Log) refill() {
	l.reserve.mu.Lock()
	defer l.reserve.mu.Unlock()
	if !l.reserve.spare.Load() {
		ok, err := disk.Reserve(l.opt.FS, l.spareName(), l.fileRoom())
		l.reserve.lacking.Store(disk.NoSpace(err))
		l.reserve.spare.Store(ok)
	}
	if !l.reserve.sealing {
		l.reserve.sealing, _ = disk.Reserve(l.opt.FS, l.reserveName(), l.opt.Reserve)
	}
	for n := len(l.reserve.unsettled); n > 0; n-- {
		if l.settle(l.opt.FS, l.reserve.unsettled[0]) != nil {
			return
		}
		l.reserve.unsettled = l.reserve.unsettled[1:]
		l.wakeSealing()
	}
}

// settleLater has the sidecar of a closed file written when there is room.
func (l *Log) settleLater(p *part) {
	l.reserve.mu.Lock()
	defer l.reserve.mu.Unlock()
	l.reserve.unsettled = append(l.reserve.unsettled, p)
}

// stays tells whether the live file is written on because there is no room for another one: it has room of its own.
func (l *Log) stays() bool { return l.reserve.lacking.Load() }

// withReserve does what makes room, and where the disk is full, once more with the room that was kept for it.
func (l *Log) withReserve(do func() error) error {
	err := do()
	if !disk.NoSpace(err) {
		return err
	}
	l.reserve.mu.Lock()
	held := l.reserve.sealing
	l.reserve.sealing = false
	l.reserve.mu.Unlock()
	if !held {
		return err
	}
	if err := disk.Release(l.opt.FS, l.reserveName()); err != nil {
		return err
	}
	return do()
}

// Room returns how many bytes the log can write whatever becomes of the disk's free room: the rest of the live file, and
// the next. ok is false where no room is taken ahead, because Options.Reserve is zero or the system cannot.
func (l *Log) Room() (bytes int64, ok bool) {
	bytes = max(l.reserve.live.Load()-l.watched.durable.Load(), 0)
	if l.reserve.spare.Load() {
		bytes += l.fileRoom()
	}
	return bytes, l.reserve.able.Load()
}
