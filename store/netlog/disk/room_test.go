package disk_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/heyan-project/heyan/store/netlog/disk"
)

// TestRoom: of a real file system, where the system says, and of none.
func TestRoom(t *testing.T) {
	dir := t.TempDir()
	free, total, err := disk.Room(dir)
	if !errors.Is(err, errors.ErrUnsupported) && (err != nil || total == 0 || free == 0 || free > total) {
		t.Errorf("%d of %d, %v", free, total, err)
	}
	if free, total, err := disk.Room(filepath.Join(dir, "missing")); err == nil {
		t.Errorf("a folder that is not there has %d of %d", free, total)
	}
}
