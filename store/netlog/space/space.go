// Package space tells when the room for the network log runs out: two water marks with hysteresis, and how long the room
// lasts at the rate at which it goes now.
//
// # Guaranteed
//
//   - Below the floor a [Watch] says [Full], and at the high mark [Low], with the first look that finds it so. It says
//     otherwise only when there is a tenth more room than the mark asks for, so that a disk at a mark does not make the
//     server come and go.
//   - A file system that cannot be asked changes nothing: what was known last stands.
//
// # Not guaranteed
//
//   - That room which is there at a look is there a moment later: other programs write, too. What the log must be able to
//     write in any case it has allocated before (netlog.Options.Reserve).
//   - That the estimate comes true. It is what was lost lately, half an hour counting as much as all before.
package space

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Mark is how much room has to be left: bytes, or percent of the file system. The zero Mark is no room at all, and so
// never missed.
type Mark struct {
	bytes   uint64
	percent uint64
}

var units = []struct {
	name string
	size uint64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

var errMark = errors.New("bytes, as 536870912, 512MiB or 2GiB, or percent of the file system, as 10%")

// ParseMark reads "536870912", "512MiB" or "10%".
func ParseMark(text string) (Mark, error) {
	if digits, ok := strings.CutSuffix(text, "%"); ok {
		n, err := strconv.ParseUint(digits, 10, 8)
		if err != nil || n > 99 {
			return Mark{}, errMark
		}
		return Mark{percent: n}, nil
	}
	digits, size := text, uint64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			digits, size = rest, u.size
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n > math.MaxInt64/size {
		return Mark{}, errMark
	}
	return Mark{bytes: n * size}, nil
}

// String prints what ParseMark reads.
func (m Mark) String() string {
	if m.percent > 0 {
		return fmt.Sprintf("%d%%", m.percent)
	}
	for _, u := range units {
		if m.bytes >= u.size && m.bytes%u.size == 0 {
			return fmt.Sprintf("%d%s", m.bytes/u.size, u.name)
		}
	}
	return strconv.FormatUint(m.bytes, 10)
}

// Of returns the mark in bytes of a file system of that size.
func (m Mark) Of(total uint64) uint64 {
	if m.percent > 0 {
		return total/100*m.percent + total%100*m.percent/100
	}
	return m.bytes
}

// Under tells whether m is surely smaller than o: both are bytes, or both percent. Else only a file system can tell.
func (m Mark) Under(o Mark) (is, known bool) {
	if (m.percent > 0) != (o.percent > 0) {
		return false, false
	}
	return m.bytes < o.bytes || m.percent < o.percent, true
}

// State is how much room there is.
type State uint8

// The states.
const (
	Ample State = iota // or nobody knows
	Low                // at the high mark: somebody has to act
	Full               // below the floor: no more than last words
)

// Marks are the two water marks by name, as records and metrics have them.
const (
	High  = "high"
	Floor = "floor"
)

// Change is a mark that was reached or cleared by a look.
type Change struct {
	Mark    string // High or Floor
	Reached bool
	Wanted  uint64 // bytes that the mark asks for
}

// Reading is what the last look found.
type Reading struct {
	State       State
	Free, Total uint64 // bytes; Total 0: nobody could tell
	// UntilFloor is when Free will be at the floor, in seconds; +Inf where it does not shrink.
	UntilFloor float64
}

// Watch keeps the state of one file system. It is safe for concurrent use.
type Watch struct {
	room        func() (free, total uint64, err error)
	high, floor Mark

	full atomic.Bool // asked at every call

	mu   sync.Mutex
	last Reading
	trend
}

// New makes a Watch of what room tells.
func New(room func() (free, total uint64, err error), high, floor Mark) *Watch {
	return &Watch{room: room, high: high, floor: floor, last: Reading{UntilFloor: math.Inf(1)}}
}

// Look asks for the room and returns what changed with it, the floor before the high mark when room shrinks. steady is
// the time of a clock that nobody sets.
func (w *Watch) Look(steady time.Time) ([]Change, error) {
	free, total, err := w.room() // without the lock: a disk that hangs here holds up nobody
	if err != nil {
		return nil, fmt.Errorf("space: the room for the log is not known: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	floor := w.floor.Of(total)
	high := max(w.high.Of(total), floor)
	was := w.last.State
	w.last = Reading{State: next(was, free, high, floor), Free: free, Total: total, UntilFloor: w.until(free, floor, steady)}
	w.full.Store(w.last.State == Full)
	var changes []Change
	if now := w.last.State; (was == Full) != (now == Full) {
		changes = append(changes, Change{Floor, now == Full, floor})
	}
	if now := w.last.State; (was == Ample) != (now == Ample) {
		changes = append(changes, Change{High, now != Ample, high})
	}
	return changes, nil
}

// next is the state after a look.
func next(was State, free, high, floor uint64) State {
	missed := func(mark uint64, already bool) bool {
		if already {
			mark += mark / 10
		}
		return free < mark
	}
	switch {
	case missed(floor, was == Full):
		return Full
	case missed(high, was != Ample):
		return Low
	}
	return Ample
}

// Read returns what the last look found.
func (w *Watch) Read() Reading {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// Full tells whether there is less room than the floor asks for.
func (w *Watch) Full() bool { return w.full.Load() }

// trend is how fast room goes: what was lost and how long that took, both fading alike, so that their quotient is right
// from the first minute on.
type trend struct {
	at         time.Time
	free       uint64
	lost, took float64 // bytes, seconds
}

const (
	fade  = 30 * time.Minute
	young = time.Minute // before that nothing is said
)

// until notes how much is free, and returns the seconds until the floor.
func (t *trend) until(free, floor uint64, now time.Time) float64 {
	if !t.at.IsZero() {
		seconds := max(now.Sub(t.at).Seconds(), 0)
		keep := math.Exp(-seconds / fade.Seconds())
		t.lost = t.lost*keep + float64(t.free) - float64(free)
		t.took = t.took*keep + seconds
	}
	t.at, t.free = now, free
	switch {
	case free <= floor:
		return 0
	case t.took < young.Seconds() || t.lost <= 0:
		return math.Inf(1)
	}
	return float64(free-floor) / (t.lost / t.took)
}
