package config

import (
	"fmt"
	"path/filepath"
)

// maxAlso bounds log.also: each is opened, and a listing of all origins reads each.
const maxAlso = 64

// AlsoName is a directory of log.also in words of the file.
func AlsoName(i int) string { return fmt.Sprintf("log.also, directory %d", i+1) }

// checkAlso does not look whether the directories are there: one that is gone must not keep the service from starting.
func (c *Config) checkAlso(require func(bool, string, ...any)) {
	require(len(c.Log.Also) <= maxAlso, "log.also: at most %d", maxAlso)
	own := filepath.Join(c.DataDir, "log")
	seen := map[string]bool{}
	for i, dir := range c.Log.Also {
		require(dir != "", "%s is empty", AlsoName(i))
		require(dir == "" || c.DataDir == "" || !inside(own, dir), "%s lies inside this server's own log: only closed logs are named", AlsoName(i))
		require(!seen[real(dir)], "%s: named twice", AlsoName(i))
		seen[real(dir)] = true
	}
}
