package config

import (
	"fmt"

	"github.com/heyan-project/heyan/store/netlog/space"
)

// Space is how much room the file system of the network log has to have, in bytes or percent.
type Space struct {
	High  string `yaml:"high"`  // below: an alarm
	Floor string `yaml:"floor"` // below: nothing is served but health and the log
	// Reserve is what the log keeps for sealing on a full disk, in bytes; 0 keeps no room at all. See [Config.Reserve].
	Reserve int64 `yaml:"reserve"`
}

// Marks reads log.space.
func (s *Space) Marks() (high, floor space.Mark, err error) {
	if high, err = space.ParseMark(s.High); err != nil {
		return high, floor, fmt.Errorf("log.space.high: %w", err)
	}
	if floor, err = space.ParseMark(s.Floor); err != nil {
		return high, floor, fmt.Errorf("log.space.floor: %w", err)
	}
	return high, floor, nil
}

// Reserve is the room that the log takes ahead. Development takes none: its disks are small, and sometimes memory.
func (c *Config) Reserve() int64 {
	if !c.Production {
		return 0
	}
	return c.Log.Space.Reserve
}

// leastFloor is what a floor in bytes has to be at least: with less the server would hardly get its last words out.
const leastFloor = 16 << 20

func (c *Config) checkSpace(require func(bool, string, ...any)) {
	high, floor, err := c.Log.Space.Marks()
	if err != nil {
		require(false, "%v", err)
		return
	}
	require(floor.Of(100*leastFloor) >= leastFloor, "log.space.floor: at least 16MiB or 1%%: a disk without room cannot log, and so cannot serve")
	require(c.Log.Space.Reserve == 0 || c.Log.Space.Reserve >= 1<<20 && c.Log.Space.Reserve <= 1<<40, "log.space.reserve: 1 MiB to 1 TiB, or 0 for none")
	require(c.Log.Space.Reserve > 0 || !c.Production, "log.space.reserve: production keeps room for the log's last words, and for sealing")
	under, known := high.Under(floor)
	require(!known || !under, "log.space.high: at least log.space.floor: the alarm comes before the service stops")
}
