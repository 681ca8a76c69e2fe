//go:build !linux

package datafile

import "os"

// dropCache does nothing where the system offers no way to do it.
func dropCache(*os.File, int64, int64) {}
