//go:build !linux && !darwin

package datafile

import "os"

func mapFile(file *os.File, _ int64) (mapping, error) { return readAt{file}, nil }
