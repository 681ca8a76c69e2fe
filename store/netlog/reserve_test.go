package netlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
)

// tight is a disk of so many bytes, over the real one: room is what is written or taken ahead, file by file, and given
// back when a file is cut or removed. A write that does not fit is short, as on a real disk.
type tight struct {
	disk.FS
	mu      sync.Mutex
	size    int64
	taken   map[string]int64
	greedy  bool           // others take at once what is given back
	removed map[string]int // how often
}

func newTight(size int64) *tight {
	return &tight{FS: disktest.NoSync(), size: size, taken: map[string]int64{}, removed: map[string]int{}}
}

// take makes what a file has at least so many bytes, or as many as there are.
func (s *tight) take(name string, bytes int64) (have int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takeLocked(name, bytes)
}

func (s *tight) takeLocked(name string, bytes int64) (have int64, err error) {
	used := int64(0)
	for _, n := range s.taken {
		used += n
	}
	have = max(s.taken[name], min(bytes, s.taken[name]+s.size-used))
	s.taken[name] = have
	if have < bytes {
		return have, syscall.ENOSPC
	}
	return have, nil
}

// fill is another program that takes whatever is left.
func (s *tight) fill() { _, _ = s.take("others", s.size) }

// cut gives back what a file has but so many bytes.
func (s *tight) cut(name string, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[name] = bytes
	if s.greedy {
		_, _ = s.takeLocked("others", s.size)
	}
}

// spare makes others give back what they have, and take no more.
func (s *tight) spare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.greedy = false
	delete(s.taken, "others")
}

func (s *tight) timesRemoved(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removed[name]
}

func (s *tight) has(name string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken[name]
}

func (s *tight) OpenFile(name string, create bool) (disk.File, error) {
	f, err := s.FS.OpenFile(name, create)
	return &tightFile{f, s, name}, err
}

func (s *tight) Rename(from, to string) error {
	err := s.FS.Rename(from, to)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.taken[to] = s.taken[from]
		delete(s.taken, from)
	}
	return err
}

func (s *tight) Remove(name string) error {
	err := s.FS.Remove(name)
	if err == nil {
		s.cut(name, 0)
		s.mu.Lock()
		s.removed[name]++
		s.mu.Unlock()
	}
	return err
}

type tightFile struct {
	disk.File
	on   *tight
	name string
}

// now is the name that the file has by now.
func (f *tightFile) now() string {
	final := strings.TrimSuffix(f.name, disk.TempSuffix)
	if _, err := os.Lstat(f.name); err != nil && final != f.name {
		return final
	}
	return f.name
}

func (f *tightFile) WriteAt(b []byte, at int64) (int, error) {
	have, err := f.on.take(f.now(), at+int64(len(b)))
	if err != nil {
		n, _ := f.File.WriteAt(b[:max(have-at, 0)], at)
		return n, errors.Join(io.ErrShortWrite, err)
	}
	return f.File.WriteAt(b, at)
}

func (f *tightFile) Truncate(size int64) error {
	f.on.cut(f.now(), size)
	return f.File.Truncate(size)
}

func (f *tightFile) Allocate(size int64) (bool, error) {
	_, err := f.on.take(f.now(), size)
	return err == nil, err
}

func tightLog(t *testing.T, size int64) (*Log, *tight, Options) {
	t.Helper()
	opt := options(filepath.Join(t.TempDir(), "log"))
	s := newTight(size)
	opt.FS, opt.FileSize, opt.Reserve = s, 64<<10, 1<<20
	l := create(t, opt)
	until(t, l, func() bool { return l.reserve.spare.Load() && s.has(l.reserveName()) > 0 })
	return l, s, opt
}

// TestLastWordsOnAFullDisk: with room taken ahead, another program that fills the disk stops nothing: the log goes on in
// the room of the live file and of the next, and says how much that is. A restart finds all of it.
func TestLastWordsOnAFullDisk(t *testing.T) {
	l, s, opt := tightLog(t, 64<<20)
	before, ok := l.Room()
	if !ok || before < 2*opt.FileSize {
		t.Fatalf("room for %d bytes, %v", before, ok)
	}
	s.fill()
	first := l.liveFirst()
	n := 1
	for ; l.liveFirst() == first; n++ { // into the next file
		add(t, l, n)
	}
	until(t, l, l.stays)
	if after, ok := l.Room(); !ok || after >= before-opt.FileSize/2 || after < opt.FileSize {
		t.Errorf("room for %d bytes, and before %d", after, before)
	}
	first = l.liveFirst()
	for range 400 { // beyond FileSize: there is no room for a third file, and the second goes on
		add(t, l, n)
		n++
	}
	if l.liveFirst() != first || l.file.Size() < opt.FileSize {
		t.Errorf("the live file has %d bytes and begins with %d, at first with %d", l.file.Size(), l.liveFirst(), first)
	}
	holds(t, l, n)
	s.spare() // somebody made room
	l.wakeRefill()
	until(t, l, func() bool { return !l.stays() })
	add(t, l, n)
	n++
	until(t, l, func() bool { return l.liveFirst() != first }) // a new file is begun
	closeLog(t, l)
	again, rec := open(t, opt)
	if int(rec.Size) != n {
		t.Errorf("%+v, and %d were acknowledged", rec, n)
	}
	holds(t, again, n)
}

// TestWithoutReserveAFullDiskStops: the same without room taken ahead, so that the test above shows something. What was
// acknowledged is there after a restart, and nothing is tried again before.
func TestWithoutReserveAFullDiskStops(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	s := newTight(64 << 20)
	opt.FS, opt.FileSize = s, 64<<10
	l := create(t, opt)
	if _, ok := l.Room(); ok {
		t.Error("room is said to be taken")
	}
	add(t, l, 1)
	s.fill()
	n := 2
	for l.Healthy() == nil {
		ticket, err := l.Append(leaf(n))
		if err == nil {
			err = ticket.Wait(t.Context())
		}
		if err == nil {
			n++
		} else if !errors.Is(err, ErrStopped) || !disk.NoSpace(err) {
			t.Fatal(err)
		}
	}
	s.spare()
	if _, err := l.Append(leaf(n)); !errors.Is(err, ErrStopped) {
		t.Errorf("it goes on by itself: %v", err)
	}
	l.Close()
	again, rec := open(t, opt)
	if int(rec.Size) < n || int(rec.Size) > n+1 {
		t.Errorf("%+v, and %d were acknowledged", rec, n)
	}
	holds(t, again, int(rec.Size))
}

// TestSealingOnAFullDisk: a segment is made in the room that was kept for it, and gives back that of the files it was
// made of.
func TestSealingOnAFullDisk(t *testing.T) {
	l, s, opt := tightLog(t, 64<<20)
	for n := 1; n < 900; n++ {
		add(t, l, n)
	}
	rotated(t, l)
	s.fill()
	wals := func() (sum int64) {
		names, err := walNames(opt.Dir)
		must(t, err)
		for _, name := range names {
			sum += s.has(name)
		}
		return sum
	}
	before := wals()
	must(t, l.Seal(t.Context()))
	if end := l.sealedEnd(); end != 768 {
		t.Fatalf("%d records are sealed", end)
	}
	if after := wals(); after >= before {
		t.Errorf("write-ahead files have %d bytes, and had %d", after, before)
	}
	if s.timesRemoved(l.reserveName()) == 0 {
		t.Error("the room for sealing was not used")
	}
	holds(t, l, 900)
	s.spare()
	l.wakeRefill()
	until(t, l, func() bool { return s.has(l.reserveName()) == opt.Reserve })
}

// until waits for what a goroutine of the log does.
func until(t *testing.T, l *Log, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	must(t, l.until(ctx, done))
}

// rotated closes the live file.
func rotated(t *testing.T, l *Log) {
	t.Helper()
	l.rotateNow.Store(true)
	l.wakeUp()
	until(t, l, func() bool { return !l.rotateNow.Load() })
}

// TestSidecarOnAFullDisk: one that there was no room for is written when there is, and the file can be sealed then.
func TestSidecarOnAFullDisk(t *testing.T) {
	l, s, _ := tightLog(t, 64<<20)
	for n := 1; n < 300; n++ {
		add(t, l, n)
	}
	until(t, l, l.reserve.spare.Load)
	l.reserve.mu.Lock()
	must(t, disk.Release(s, l.reserveName()))
	l.reserve.sealing = false
	s.mu.Lock()
	s.greedy = true
	s.mu.Unlock()
	s.fill()
	l.reserve.mu.Unlock()
	rotated(t, l)
	until(t, l, func() bool {
		l.reserve.mu.Lock()
		defer l.reserve.mu.Unlock()
		return len(l.reserve.unsettled) == 1
	})
	if l.closedEnd() >= l.liveFirst() {
		t.Error("there is a sidecar without room for it")
	}
	s.spare()
	l.wakeRefill()
	until(t, l, func() bool { return l.closedEnd() >= l.liveFirst() })
	must(t, l.Seal(t.Context()))
	if end := l.sealedEnd(); end != 256 {
		t.Errorf("%d records are sealed", end)
	}
	holds(t, l, 300)
}

// TestStartOnAFullDisk: what the log had taken is removed by the next start and taken anew, so that it opens.
func TestStartOnAFullDisk(t *testing.T) {
	l, s, opt := tightLog(t, 64<<20)
	fill(t, l, 1, 5)
	s.fill()
	closeLog(t, l)
	s.fill() // what the end of the live file gave back is gone at once
	l, rec := open(t, opt)
	if rec.Size != 5 || rec.CutBytes != 0 {
		t.Errorf("%+v", rec)
	}
	add(t, l, 5)
	holds(t, l, 6)
	if room, ok := l.Room(); !ok || room < opt.FileSize/2 {
		t.Errorf("room for %d, %v", room, ok)
	}
}

// TestReserveIsRealRoom: on a real disk the files have their room, and the live one the size that it has without.
func TestReserveIsRealRoom(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	opt.Reserve, opt.FileSize = 3<<20, 1<<20
	l := create(t, opt)
	add(t, l, 1)
	l.reserve.mu.Lock()
	//lint:ignore SA2001 it waits for the first refill, which may be under way
	l.reserve.mu.Unlock()
	l.refill()
	if _, able := l.Room(); !able {
		t.Log("this system takes no room ahead")
	}
	if err := errors.Join(l.watched.check(), l.checkClosed()); err != nil {
		t.Errorf("taken for somebody else's writing: %v", err)
	}
	if info, err := os.Stat(l.part.path); err != nil || info.Size() != l.file.FileSize() {
		t.Error(info, err)
	}
	closeLog(t, l)
	again, rec := open(t, opt)
	if rec.CutBytes != 0 {
		t.Errorf("room taken ahead is read as a torn tail: %+v", rec)
	}
	holds(t, again, 2)
}

// some is a process that appends 600 records, with room taken ahead, prints each index once it is acknowledged, seals and
// ends. Faults are put into its system calls.
func some(dir string) {
	opt := options(dir)
	opt.FileSize, opt.Reserve = 16<<10, 1<<20
	l, _, err := Open(opt)
	if err != nil {
		os.Exit(1)
	}
	acks := make(chan uint64)
	for range 8 {
		go func() {
			for range 75 {
				ticket, err := l.Append(leaf(1))
				if err != nil || ticket.Wait(context.Background()) != nil {
					os.Exit(2)
				}
				acks <- ticket.Index()
			}
		}()
	}
	for range 8 * 75 {
		fmt.Println(<-acks)
	}
	if err := errors.Join(l.Seal(context.Background()), l.Close()); err != nil {
		os.Exit(2)
	}
}
