//go:build unix

package main

import (
	"io/fs"
	"syscall"
)

// fileNumber is a file's inode. The device is left out: its number may change when a machine starts again.
func fileNumber(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino)
	}
	return 0
}
