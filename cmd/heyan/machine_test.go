package main

import (
	"os"
	"runtime"
	"testing"
)

// TestMachine: the room of a real file system.
func TestMachine(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("heartbeats leave it out there")
	}
	m := machine(t.TempDir())
	if m.DiskTotal == 0 || m.DiskFree == 0 || m.DiskFree > m.DiskTotal {
		t.Errorf("%+v", m)
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil && string(load[:4]) > "0.05" && m.LoadMilli == 0 {
		t.Errorf("load %d, the kernel says %s", m.LoadMilli, load)
	}
	if m := machine("/no/such/folder"); m.DiskTotal != 0 {
		t.Errorf("of a folder that is not there: %+v", m)
	}
}
