package config

import (
	"fmt"
	"time"

	"github.com/heyan-project/heyan/store/netlog/outside"
)

// maxTargets bounds log.checkpoints_to.
const maxTargets = 8

// Outside reads log.checkpoints_to. Paths in it are relative to the file's folder.
func (c *Config) Outside() ([]outside.Spec, error) {
	specs := make([]outside.Spec, len(c.Log.CheckpointsTo))
	for i, line := range c.Log.CheckpointsTo {
		var err error
		if specs[i], err = outside.Parse(line, c.dir); err != nil {
			return nil, fmt.Errorf("%s: %w", targetName(i), err)
		}
	}
	return specs, nil
}

// targetName is a target in words of the file. Its URL may be a secret, and is never repeated.
func targetName(i int) string { return fmt.Sprintf("log.checkpoints_to, target %d", i+1) }

func (c *Config) checkOutside(require func(bool, string, ...any)) {
	require(c.Log.CheckpointsEvery >= time.Second && c.Log.CheckpointsEvery <= time.Hour, "log.checkpoints_every: 1s to 1h")
	require(len(c.Log.CheckpointsTo) <= maxTargets, "log.checkpoints_to: at most %d", maxTargets)
	seen := map[outside.Spec]bool{}
	for i, line := range c.Log.CheckpointsTo {
		s, err := outside.Parse(line, c.dir)
		if err != nil {
			require(false, "%s: %v", targetName(i), err)
			continue
		}
		require(!seen[s], "%s: named twice", targetName(i))
		seen[s] = true
		require(s.Kind != outside.File || !inside(c.DataDir, s.Path), "%s lies inside data_dir: whoever puts an older copy back would put that back too", targetName(i))
	}
}
