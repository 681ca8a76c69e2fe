//go:build fulldisk && linux

package netlog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/heyan-project/heyan/store/netlog/disk"
)

// TestRealFullDisk fills a small file system of its own, named by HEYAN_FULL_DISK, to its last byte under a running log.
// It needs a mount, and so a tag; deploy/ci/faults.sh runs it.
func TestRealFullDisk(t *testing.T) {
	mount := os.Getenv("HEYAN_FULL_DISK")
	_, total, err := disk.Room(mount)
	must(t, err)
	if total > 64<<20 {
		t.Fatalf("%s has %d bytes: it is no file system for this test", mount, total)
	}
	opt := options(filepath.Join(mount, "log"))
	opt.FileSize, opt.Reserve = 64<<10, 512<<10
	l := create(t, opt)
	until(t, l, func() bool {
		l.reserve.mu.Lock()
		defer l.reserve.mu.Unlock()
		return l.reserve.spare.Load() && l.reserve.sealing
	})
	n := 1
	for ; n < 300; n++ {
		add(t, l, n)
	}
	fillUp(t, mount)
	for ; n < 1200; n++ { // through the rest of this file, and into the next
		add(t, l, n)
	}
	fillUp(t, mount) // what the closed file gave back
	must(t, l.Seal(t.Context()))
	if l.sealedEnd() == 0 {
		t.Error("nothing is sealed")
	}
	for ; n < 1300; n++ {
		add(t, l, n)
	}
	holds(t, l, n)
	fillUp(t, mount)
	for { // to the very end
		ticket, err := l.Append(leaf(n))
		if err == nil {
			err = ticket.Wait(t.Context())
		}
		if err != nil {
			if !errors.Is(err, ErrStopped) || !disk.NoSpace(err) {
				t.Fatal(err)
			}
			break
		}
		n++
	}
	t.Logf("%d records on a full disk", n)
	l.Close()
	must(t, os.Remove(filepath.Join(mount, "others")))
	again, rec := open(t, opt)
	if int(rec.Size) < n || int(rec.Size) > n+1 {
		t.Errorf("%+v, and %d were acknowledged", rec, n)
	}
	holds(t, again, int(rec.Size))
	add(t, again, int(rec.Size))
}

// fillUp is another program that writes until nothing more fits.
func fillUp(t *testing.T, mount string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(mount, "others"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer f.Close()
	for b := make([]byte, 64<<10); len(b) > 0; {
		if _, err := f.Write(b); err != nil {
			if !disk.NoSpace(err) {
				t.Fatal(err)
			}
			b = b[:len(b)/2]
		}
	}
}
