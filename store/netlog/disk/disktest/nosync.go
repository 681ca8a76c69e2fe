package disktest

import "github.com/heyan-project/heyan/store/netlog/disk"

// NoSync is the operating system's file system without flushes: for tests that make many logs and crash none.
func NoSync() disk.FS { return noSync{disk.OS()} }

type noSync struct{ disk.FS }

type noSyncFile struct{ disk.File }

func (f noSync) OpenFile(name string, create bool) (disk.File, error) {
	file, err := f.FS.OpenFile(name, create)
	if err != nil {
		return nil, err
	}
	return noSyncFile{file}, nil
}

func (noSync) SyncDir(string) error { return nil }
func (noSyncFile) Sync() error      { return nil }
