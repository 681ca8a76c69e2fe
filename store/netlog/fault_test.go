package netlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
)

var errDisk = errors.New("disk failed")

// TestAFaultIsFinal: a write or flush that fails once fails everybody who waits and everything later, even when the
// disk works again; a restart finds what was acknowledged.
func TestAFaultIsFinal(t *testing.T) {
	for name, fault := range map[string]func(disktest.Op) error{
		"flush":     on(disktest.Sync, errDisk),
		"write":     on(disktest.Write, errDisk),
		"disk full": on(disktest.Write, syscall.ENOSPC),
		"short":     on(disktest.Write, disktest.Short{N: 30}),
	} {
		t.Run(name, func(t *testing.T) {
			opt := options(filepath.Join(t.TempDir(), "log"))
			fsys := disktest.New()
			warned := make(chan error, 1)
			opt.FS, opt.Warn = fsys, func(err error) { warned <- err }
			l := create(t, opt)
			fill(t, l, 1, 4)
			entered, hold := make(chan struct{}), make(chan struct{})
			var once atomic.Bool
			fsys.Hook(func(op disktest.Op) error {
				err := fault(op)
				if err != nil && once.CompareAndSwap(false, true) {
					close(entered)
					<-hold
					return err
				}
				return nil // the disk is well again
			})
			var tickets []Ticket
			for n := 4; n < 10; n++ {
				ticket, err := l.Append(leaf(n))
				if err != nil {
					t.Fatal(err)
				}
				tickets = append(tickets, ticket)
				if n == 4 {
					<-entered // the rest is queued behind the batch that fails
				}
			}
			close(hold)
			for i, ticket := range tickets {
				if err := ticket.Wait(t.Context()); !errors.Is(err, ErrStopped) {
					t.Errorf("waiter %d: %v", i, err)
				}
			}
			<-l.Stopped()
			if err := <-warned; !errors.Is(err, ErrStopped) {
				t.Error(err)
			}
			if _, err := l.Append(leaf(10)); !errors.Is(err, ErrStopped) {
				t.Errorf("append afterwards: %v", err)
			}
			if err := l.Healthy(); !errors.Is(err, ErrStopped) {
				t.Error(err)
			}
			if l.Size() != 4 {
				t.Errorf("%d records are shown as durable", l.Size())
			}
			if err := l.Close(); !errors.Is(err, ErrStopped) {
				t.Error(err)
			}
			opt.FS = nil
			l, rec := open(t, opt)
			if rec.Size < 4 || rec.Size > 5 {
				t.Errorf("%+v", rec)
			}
			holds(t, l, int(rec.Size))
		})
	}
}

func on(kind disktest.Kind, err error) func(disktest.Op) error {
	return func(op disktest.Op) error {
		if op.Kind == kind && strings.HasSuffix(op.Name, walSuffix+disk.TempSuffix) { // a file keeps its first name here
			return err
		}
		return nil
	}
}

// TestRotationFaultStops: what was committed before stays acknowledged.
func TestRotationFaultStops(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	fsys := disktest.New()
	opt.FS, opt.FileSize = fsys, 1
	l := create(t, opt)
	add(t, l, 1)
	fsys.Hook(func(op disktest.Op) error {
		if op.Kind == disktest.Create && strings.Contains(op.Name, walSuffix) {
			return errDisk
		}
		return nil
	})
	// The commit is durable before the rotation fails.
	ticket, err := l.Append(leaf(2))
	if err == nil {
		err = ticket.Wait(t.Context())
	}
	if err != nil {
		if !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
	}
	<-l.Stopped()
	l.Close()
	opt.FS = nil
	l, rec := open(t, opt)
	holds(t, l, int(rec.Size))
	if rec.Size < 2 {
		t.Error(rec)
	}
}

// TestHangingDisk: nobody hangs with it, and a flush that returns after all changes nothing.
func TestHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := options(filepath.Join(t.TempDir(), "log"))
		fsys := disktest.New()
		opt.FS, opt.AppendTimeout = fsys, 4*time.Second
		l, err := Create(opt, "init")
		if err != nil {
			t.Fatal(err)
		}
		fill(t, l, 1, 3)
		release := make(chan struct{})
		fsys.Hook(func(op disktest.Op) error {
			if op.Kind == disktest.Sync {
				<-release
			}
			return nil
		})
		began := time.Now()
		first, err := l.Append(leaf(3))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // the first is in flight
		second, err := l.Append(leaf(4))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := second.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		for _, ticket := range []Ticket{first, second} {
			if err := ticket.Wait(t.Context()); !errors.Is(err, ErrTimeout) || !errors.Is(err, ErrStopped) {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > opt.AppendTimeout {
			t.Errorf("waited %v", took) // of the bubble's clock
		}
		if err := l.Close(); !errors.Is(err, ErrTimeout) {
			t.Error(err)
		}
		close(release)
		<-l.drained
		if err := first.Wait(t.Context()); !errors.Is(err, ErrTimeout) {
			t.Errorf("a waiter was told otherwise later: %v", err)
		}
		synctest.Wait()
		l.file.Close()
		l.lock.Close()
	})
}

func TestBusy(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	fsys := disktest.New()
	opt.FS, opt.MaxQueue = fsys, 3
	l := create(t, opt)
	entered, release := make(chan struct{}, 10), make(chan struct{})
	fsys.Hook(func(op disktest.Op) error {
		if op.Kind == disktest.Sync {
			entered <- struct{}{}
			<-release
		}
		return nil
	})
	var tickets []Ticket
	for n := 1; n <= 4; n++ {
		ticket, err := l.Append(leaf(n))
		if err != nil {
			t.Fatal(n, err)
		}
		tickets = append(tickets, ticket)
		if n == 1 {
			<-entered
		}
	}
	if n := l.Queued(); n != 3 {
		t.Errorf("%d queued", n)
	}
	if _, err := l.Append(leaf(5)); !errors.Is(err, ErrBusy) {
		t.Errorf("above the limit: %v", err)
	}
	close(release)
	for _, ticket := range tickets {
		if err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	add(t, l, 5) // and it goes on, with no index lost
	holds(t, l, 6)
}

// TestFilesAreWatched: whatever is done to the files from outside stops the log.
func TestFilesAreWatched(t *testing.T) {
	live := func(l *Log) string {
		parts := l.snapshot().parts
		return parts[len(parts)-1].path
	}
	for name, c := range map[string]struct {
		do   func(t *testing.T, l *Log)
		want error
	}{
		"live file unlinked": {func(t *testing.T, l *Log) { must(t, os.Remove(live(l))) }, disk.ErrReplaced},
		"live file replaced": {func(t *testing.T, l *Log) {
			content, err := os.ReadFile(live(l))
			must(t, err)
			must(t, os.WriteFile(live(l)+"x", content, 0o600))
			must(t, os.Rename(live(l)+"x", live(l)))
		}, disk.ErrReplaced},
		"live file truncated": {func(t *testing.T, l *Log) { must(t, os.Truncate(live(l), 10)) }, ErrSecondWriter},
		"second writer": {func(t *testing.T, l *Log) {
			f, err := os.OpenFile(live(l), os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteString("x")
			must(t, err)
			must(t, f.Close())
		}, ErrSecondWriter},
		"closed file unlinked":  {func(t *testing.T, l *Log) { must(t, os.Remove(l.snapshot().parts[0].path)) }, disk.ErrReplaced},
		"closed file truncated": {func(t *testing.T, l *Log) { must(t, os.Truncate(l.snapshot().parts[0].path, 10)) }, ErrSecondWriter},
		"lock unlinked":         {func(t *testing.T, l *Log) { must(t, os.Remove(filepath.Join(l.dir, lockFile))) }, disk.ErrReplaced},
		"identity unlinked":     {func(t *testing.T, l *Log) { must(t, os.Remove(filepath.Join(l.dir, identityFile))) }, disk.ErrReplaced},
		"directory gone":        {func(t *testing.T, l *Log) { must(t, os.Rename(l.dir, l.dir+"x")) }, ErrStopped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opt := options(filepath.Join(t.TempDir(), "log"))
			closeLog(t, create(t, opt))
			l, _ := open(t, opt) // so that there is a closed file
			fill(t, l, 1, 4)
			if err := errors.Join(l.watched.check(), l.checkClosed()); err != nil {
				t.Fatalf("false alarm: %v", err)
			}
			c.do(t, l)
			<-l.Stopped() // by the watch alone: nothing is appended
			if err := l.Healthy(); !errors.Is(err, c.want) || !errors.Is(err, ErrStopped) {
				t.Error(err)
			}
			if _, err := l.Append(leaf(9)); !errors.Is(err, ErrStopped) {
				t.Error(err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	switch os.Getenv("NETLOG_TEST_CHILD") {
	case "append":
		child(os.Getenv("NETLOG_TEST_DIR"), os.Getenv("NETLOG_TEST_FIRST"))
	case "some":
		some(os.Getenv("NETLOG_TEST_DIR"))
	case "lock":
		_, _, err := Open(options(os.Getenv("NETLOG_TEST_DIR")))
		fmt.Println(errors.Is(err, disk.ErrLocked))
	default:
		os.Exit(m.Run())
	}
}

// child appends from several goroutines, while it seals what is there, and prints each record's index and number once it
// is acknowledged. The first number is the argument.
func child(dir, first string) {
	opt := options(dir)
	opt.FileSize, opt.SegmentRecords = 64<<10, 512
	l, _, err := Open(opt)
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	begin, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var next atomic.Int64
	next.Store(begin)
	type ack struct {
		index uint64
		n     int64
	}
	acks := make(chan ack)
	for range 8 {
		go func() {
			for {
				n := next.Add(1)
				ticket, err := l.Append(leaf(int(n)))
				if err != nil || ticket.Wait(context.Background()) != nil {
					os.Exit(2)
				}
				acks <- ack{ticket.Index(), n}
			}
		}()
	}
	go func() {
		for l.Seal(context.Background()) == nil {
			time.Sleep(3 * time.Millisecond)
		}
		os.Exit(3)
	}()
	for a := range acks {
		fmt.Println(a.index, a.n)
	}
}

// TestKill kills a process that appends and seals, several times over: what it had acknowledged to this one is there,
// byte for byte, and the log verifies.
func TestKill(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	opt.SegmentRecords = 512
	closeLog(t, create(t, opt))
	rounds := 4
	if *long {
		rounds = 500
	}
	acknowledged, numbers, from, known := map[uint64]int{}, 0, uint64(0), 0
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "NETLOG_TEST_CHILD=append", "NETLOG_TEST_DIR="+opt.Dir, "NETLOG_TEST_FIRST="+strconv.Itoa(numbers))
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			var index uint64
			var number int
			if _, err := fmt.Sscan(lines.Text(), &index, &number); err != nil {
				if n > 200+(97*round)%800 {
					break // the line that the kill cut
				}
				t.Fatal(lines.Text())
			}
			if have, again := acknowledged[index]; again {
				t.Fatalf("round %d: record %d is %d and %d", round, index, have, number)
			}
			acknowledged[index], numbers = number, max(numbers, number)
			if n == 200+(97*round)%800 {
				must(t, cmd.Process.Kill())
			}
		}
		_ = cmd.Wait()  // "signal: killed"
		numbers += 1000 // that were on their way
		l, rec := open(t, opt)
		all := round%25 == 0 || round == rounds-1 // else, the round's own
		if all {
			from, known = 0, 0
		}
		found := known
		must(t, l.Read(t.Context(), from, rec.Size, func(index uint64, b []byte) error {
			if n, there := acknowledged[index]; !there {
				return nil
			} else if !bytes.Equal(b, leaf(n)) {
				return fmt.Errorf("record %d is not the one that was acknowledged", index)
			}
			found++
			return nil
		}))
		if found != len(acknowledged) {
			t.Fatalf("round %d: %d acknowledged, %d of them are left", round, len(acknowledged), found)
		}
		from, known = rec.Size, found
		if all || round%5 == 0 {
			if report, err := l.Verify(t.Context()); err != nil || !report.Whole() || report.Verified != rec.Size {
				t.Fatalf("round %d: %v\n%v", round, report, err)
			}
		}
		closeLog(t, l)
	}
	l, _ := open(t, opt)
	if len(acknowledged) < rounds*200 || l.sealedEnd() == 0 {
		t.Errorf("only %d acknowledged, %d sealed", len(acknowledged), l.sealedEnd())
	}
	t.Logf("%d kills, %d records acknowledged, %d sealed", rounds, len(acknowledged), l.sealedEnd())
}

func TestSecondProcessIsLockedOut(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	create(t, opt)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "NETLOG_TEST_CHILD=lock", "NETLOG_TEST_DIR="+opt.Dir)
	out, err := cmd.Output()
	must(t, err)
	if !bytes.Equal(out, []byte("true\n")) {
		t.Errorf("%s", out)
	}
}

// TestNoRandomness: a file whose key would not be random is not begun.
func TestNoRandomness(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	opt.Rand = io.LimitReader(bytes.NewReader(make([]byte, 20)), 20)
	if _, err := Create(opt, "init"); err == nil {
		t.Error("created")
	}
}
