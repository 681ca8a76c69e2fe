//go:build !linux

package main

import "github.com/heyan-project/heyan/store/netlog/record"

// clockState: only Linux says whether the clock is synchronised.
func clockState() record.Clock { return record.Clock{State: record.ClockUnknown} }
