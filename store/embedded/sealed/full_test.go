package sealed_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/heyan-project/heyan/store/embedded/sealed"
)

// full is a disk on which no table can be made.
type full struct{ vfs.FS }

func (f full) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasSuffix(name, ".sst") {
		return nil, syscall.ENOSPC
	}
	return f.FS.Create(name, category)
}

// TestOpenOnAFullDisk ends with an error that says so. Pebble itself would try again for ever.
func TestOpenOnAFullDisk(t *testing.T) {
	base := vfs.NewCrashableMem()
	db := open(t, base)
	put(t, db, "a", "1")
	crashed := base.CrashClone(vfs.CrashCloneCfg{})
	closing(t, db)
	done := make(chan error, 1)
	go func() {
		_, err := sealed.Open("db", "business", storeKey(1), sealed.Options{Base: full{crashed}, Stop: func(string) {}})
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "space") {
			t.Errorf("opened: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the start hangs")
	}
}
