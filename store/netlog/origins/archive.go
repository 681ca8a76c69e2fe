package origins

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Closed is an origin that nobody writes to any more.
type Closed interface {
	Log
	io.Closer
}

// Place is where a closed origin is said to lie.
type Place struct {
	Name string // for people: "log.also, directory 1"
	Open func() (Closed, error)
}

// Directory is a log's directory. Without its seal key a sealed log is a problem.
func Directory(name, dir string, sealKey []byte) Place {
	return Place{name, func() (Closed, error) {
		r, err := netlog.OpenReader(netlog.ReaderOptions{Dir: dir, SealKey: sealKey})
		if err != nil {
			return nil, err // not a Closed that holds a nil *Reader
		}
		return r, nil
	}}
}

// Known is what is known of an origin elsewhere.
type Known struct {
	Key        string
	Checkpoint []byte // signed; nil = none
}

// Kinds of problems.
const (
	Unreadable     = "UNREADABLE"      // there is no log, or it cannot be opened
	NotListed      = "NOT_LISTED"      // nothing is known of this origin
	AnotherKey     = "ANOTHER_KEY"     // the origin is known under another key
	AnotherHistory = "ANOTHER_HISTORY" // it does not hold the records of the newest known checkpoint, or not as they were
	Twice          = "TWICE"           // the origin was read elsewhere already
	Shorter        = "SHORTER"         // it ends before the newest known checkpoint; what is there is read
	Damaged        = "DAMAGED"         // a part cannot be read; the rest is
)

// Problem is what is wrong with a place.
type Problem struct {
	Place  string
	Origin string // empty = not known
	Kind   string
	// From and To are, of Shorter, the records that are known and not there: [From, To).
	From, To uint64
	Err      error // nil = the kind says it all
}

// String returns the problem as a line of text.
func (p Problem) String() string {
	text := p.Place + ": " + p.Kind
	if p.Origin != "" {
		text += " " + p.Origin
	}
	if p.To > 0 {
		text += fmt.Sprintf(": %d records, and %d are known", p.From, p.To)
	}
	if p.Err != nil {
		text += ": " + p.Err.Error()
	}
	return text
}

// View is what an archive holds at one moment. Logs are in the order of their places.
type View struct {
	Logs     []Log
	Problems []Problem
}

// Log returns an origin; nil where it cannot be read.
func (v *View) Log(origin string) Log {
	for _, l := range v.Logs {
		if l.Origin() == origin {
			return l
		}
	}
	return nil
}

// Archive is the closed origins that lie at some places. It is safe for concurrent use. The nil Archive holds none.
type Archive struct {
	now func() time.Time

	mu     sync.Mutex // held while places are opened
	places []place
}

type place struct {
	Place
	log   Closed // nil = not opened
	err   error  // why
	tried time.Time
}

// retry is how long a place that could not be opened is left alone: one that hangs or is large must not be tried by every
// call.
const retry = 10 * time.Second

// NewArchive makes an archive. Nothing is opened yet.
func NewArchive(now func() time.Time, places ...Place) *Archive {
	a := &Archive{now: now}
	for _, p := range places {
		a.places = append(a.places, place{Place: p})
	}
	return a
}

// open opens what is not open, and returns all places as they are now.
func (a *Archive) open() []place {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.places {
		p, now := &a.places[i], a.now()
		// A clock that was set back must not keep a place closed.
		if since := now.Sub(p.tried); p.log == nil && (p.tried.IsZero() || since < 0 || since >= retry) {
			p.tried = now
			p.log, p.err = p.Open()
		}
	}
	return slices.Clone(a.places)
}

// Look opens what can be opened and holds it against what is known elsewhere. own is the origin that is being written
// here: a copy of it is no closed origin. What could not be opened is tried again by a later Look.
func (a *Archive) Look(own string, known map[string]Known) View {
	var v View
	for _, p := range a.open() {
		if p.log == nil {
			v.Problems = append(v.Problems, Problem{Place: p.Name, Kind: Unreadable, Err: p.err})
			continue
		}
		origin := p.log.Origin()
		kept, listed := known[origin]
		problem := Problem{}
		switch {
		case origin == own || v.Log(origin) != nil:
			problem.Kind = Twice
		case !listed:
			problem.Kind = NotListed
		case kept.Key != p.log.Key():
			problem.Kind = AnotherKey
		default:
			problem = compare(p.log, kept.Checkpoint)
		}
		switch problem.Kind {
		case "", Shorter, Damaged:
			v.Logs = append(v.Logs, p.log)
		}
		if problem.Kind != "" {
			problem.Place, problem.Origin = p.Name, origin
			v.Problems = append(v.Problems, problem)
		}
	}
	return v
}

// compare holds a log against the newest checkpoint that is known of it. It costs a few tree hashes.
func compare(log Log, signed []byte) Problem {
	if d, ok := log.(interface{ Damage() error }); ok && d.Damage() != nil {
		return Problem{Kind: Damaged, Err: d.Damage()}
	}
	if len(signed) == 0 {
		return Problem{}
	}
	verifier, err := tree.NewVerifier(log.Key())
	if err != nil {
		return Problem{Kind: AnotherHistory, Err: err}
	}
	known, err := verifier.Open(signed)
	if err != nil {
		return Problem{Kind: AnotherHistory, Err: err}
	}
	if size := log.Size(); known.Size > size {
		return Problem{Kind: Shorter, From: size, To: known.Size}
	}
	switch agrees, err := holds(log, known.Size, known.Root); {
	case err != nil:
		return Problem{Kind: Damaged, Err: err}
	case !agrees:
		return Problem{Kind: AnotherHistory}
	}
	return Problem{}
}

// holds tells whether the first size records of a log have a root.
func holds(log interface {
	ReadHashes(indexes []int64) ([]tree.Hash, error)
}, size uint64, root tree.Hash) (bool, error) {
	then, err := tree.Load(size, log)
	return err == nil && then.Root() == root, err
}

// Close closes what is open.
func (a *Archive) Close() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for i := range a.places {
		if p := &a.places[i]; p.log != nil {
			errs = append(errs, p.log.Close())
			p.log = nil
		}
	}
	return errors.Join(errs...)
}
