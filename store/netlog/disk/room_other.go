//go:build !linux && !darwin

package disk

import "errors"

// Room is not known here.
func Room(string) (free, total uint64, err error) { return 0, 0, errors.ErrUnsupported }
