//go:build !linux

package main

// evict does nothing: this system does not let a program forget what it has read. All sides are warm alike.
func evict(string) error { return nil }
