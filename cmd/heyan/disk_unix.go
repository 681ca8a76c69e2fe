//go:build linux || darwin

package main

import (
	"golang.org/x/sys/unix"

	"github.com/heyan-project/heyan/server"
)

// diskRoom asks for the room in dir's file system, as others than root have it. Zeros where it cannot be told.
func diskRoom(dir string) server.Machine {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return server.Machine{}
	}
	return server.Machine{DiskFree: fs.Bavail * uint64(fs.Bsize), DiskTotal: fs.Blocks * uint64(fs.Bsize)}
}
