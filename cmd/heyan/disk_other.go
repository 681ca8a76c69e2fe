//go:build !linux && !darwin

package main

import "github.com/heyan-project/heyan/server"

func diskRoom(string) server.Machine { return server.Machine{} }
