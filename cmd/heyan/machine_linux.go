package main

import (
	"golang.org/x/sys/unix"

	"github.com/heyan-project/heyan/server"
)

// machine asks the kernel for the one-minute load average (sysinfo(2)) and for the room in dir's file system.
func machine(dir string) server.Machine {
	m := diskRoom(dir)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		const scale = 1 << 16 // SI_LOAD_SHIFT
		m.LoadMilli = uint64(info.Loads[0]) * 1000 / scale
	}
	return m
}
