//go:build !linux

package main

import "github.com/heyan-project/heyan/server"

// machine tells the room in dir's file system, where the system says. The load average is left out.
func machine(dir string) server.Machine { return diskRoom(dir) }
