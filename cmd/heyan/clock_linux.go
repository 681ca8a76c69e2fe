package main

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// clockState asks the kernel whether the clock is synchronised, and how far it is off (adjtimex(2)).
func clockState() record.Clock {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return record.Clock{State: record.ClockUnknown}
	}
	clock := record.Clock{State: record.ClockSynchronised, Offset: time.Duration(t.Offset) * time.Microsecond}
	if t.Status&unix.STA_NANO != 0 {
		clock.Offset = time.Duration(t.Offset)
	}
	if state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0 {
		clock.State = record.ClockUnsynchronised
	}
	return clock
}
