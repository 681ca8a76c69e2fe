package main

import (
	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/server/telemetry"
	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/space"
)

// diskRoom is the room in dir's file system for heartbeats. Zeros where it cannot be told.
func diskRoom(dir string) server.Machine {
	free, total, err := disk.Room(dir)
	if err != nil {
		return server.Machine{}
	}
	return server.Machine{DiskFree: free, DiskTotal: total}
}

// watchRoom watches the room for the network log, on systems that tell it.
func (s *state) watchRoom() (*space.Watch, error) {
	high, floor, err := s.config.Log.Space.Marks()
	if err != nil {
		return nil, err
	}
	return space.New(func() (uint64, uint64, error) { return disk.Room(s.logDir()) }, high, floor), nil
}

// spaceState is what metrics say of the room.
func (s *state) spaceState(w *space.Watch) func() telemetry.Space {
	return func() telemetry.Space {
		now := w.Read()
		reserved, _ := s.log.Room()
		return telemetry.Space{Free: now.Free, Total: now.Total, Low: now.State != space.Ample, Full: now.State == space.Full, UntilFloor: now.UntilFloor,
			Reserved: reserved}
	}
}
