// Package local reads logs that lie on this machine without a server: a log's directory, what `heyan log export` wrote,
// and what `heyan log list --save` wrote. It shows what their records say and proves nothing: `heyan log verify` does.
package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/saved"
	"github.com/heyan-project/heyan/server/api"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/atrest"
	"github.com/heyan-project/heyan/store/netlog/export"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// Kinds of sources.
const (
	Directory = "log directory"
	Export    = "export"
	Listing   = "saved listing"
)

// Source is one log, or a part of one, that lies here.
type Source struct {
	Path   string
	Kind   string
	Origin string
	// Log is a directory's; nil for the others.
	Log *netlog.Reader
	// Part says that records were left out by what was asked for: of what time it covers nothing is known.
	Part bool

	manifest *export.Manifest
	size     uint64            // of the log that it is of, as far as it says
	amended  map[uint64]string // of the records that were read and not shown yet
}

// Open finds out what lies at a path, and opens it. Any of the keys may be the one that a directory is sealed with.
func Open(path string, sealKeys [][]byte) (*Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	s := &Source{Path: path, amended: map[uint64]string{}}
	switch {
	case !info.IsDir():
		return s, s.openListing()
	case export.Is(path):
		return s, s.openExport()
	}
	s.Kind = Directory
	if s.Log, err = OpenDirectory(netlog.ReaderOptions{Dir: path}, sealKeys); err != nil {
		return nil, err
	}
	s.Origin, s.size = s.Log.Origin(), s.Log.Size()
	return s, nil
}

// OpenDirectory opens a log's directory by the key of several that fits.
func OpenDirectory(options netlog.ReaderOptions, sealKeys [][]byte) (*netlog.Reader, error) {
	log, err := netlog.OpenReader(options)
	for _, key := range sealKeys {
		if err == nil && !sealed(log.Damage()) || err != nil && !sealed(err) {
			break
		}
		if err == nil { // segments that no key opens are damage
			if err := log.Close(); err != nil {
				return nil, err
			}
		}
		options.SealKey = key
		log, err = netlog.OpenReader(options)
	}
	return log, err
}

// sealed tells that another key, or one at all, may help.
func sealed(err error) bool {
	return errors.Is(err, atrest.ErrNoKey) || errors.Is(err, atrest.ErrKey)
}

func (s *Source) openExport() (err error) {
	s.Kind = Export
	if s.manifest, err = export.ReadManifest(s.Path); err != nil {
		return err
	}
	s.Origin, s.size, s.Part = s.manifest.Origin, s.manifest.Tree.Size, !s.manifest.Filter.Empty()
	return nil
}

// openListing reads a file once, to know that it is whole and of one log.
func (s *Source) openListing() error {
	s.Kind = Listing
	end, err := s.listing(func(e saved.Entry) error {
		if s.Origin == "" {
			s.Origin = e.Origin
		}
		if e.Origin != s.Origin {
			return fmt.Errorf("%s: records of several logs; save each by itself: heyan log list --origin ORIGIN --save FILE", s.Path)
		}
		s.size = e.Index + 1
		return nil
	})
	s.Part = len(end.Selection) > 0
	if err == nil && s.Origin == "" {
		err = fmt.Errorf("%s: no record", s.Path)
	}
	return err
}

func (s *Source) listing(fn func(saved.Entry) error) (saved.End, error) {
	in, err := os.Open(s.Path)
	if err != nil {
		return saved.End{}, err
	}
	end, err := saved.Read(in, fn)
	return end, errors.Join(err, in.Close())
}

// Size is how many records the log has that the source is of, as far as it says.
func (s *Source) Size() uint64 { return s.size }

// Close closes what is open.
func (s *Source) Close() error {
	if s.Log == nil {
		return nil
	}
	return s.Log.Close()
}

// Amended takes what a source says of a record that it showed: the event that amended it later; empty = nothing.
func (s *Source) Amended(index uint64) string {
	event := s.amended[index]
	delete(s.amended, index)
	return event
}

// Read calls fn with the records of [from, to) that pass a filter, in order.
func (s *Source) Read(ctx context.Context, filter *api.LogFilter, from, to uint64, fn func(index uint64, leaf []byte) error) error {
	pass := func(index uint64, leaf []byte, amended string) error {
		if index < from || index >= to {
			return nil
		}
		ok, err := filter.Passes(leaf)
		if err != nil || !ok {
			return err
		}
		if amended != "" {
			s.amended[index] = amended
		}
		return fn(index, leaf)
	}
	switch s.Kind {
	case Export:
		return export.Read(ctx, s.Path, s.manifest, pass)
	case Listing:
		next := uint64(0)
		_, err := s.listing(func(e saved.Entry) error {
			if e.Index < next {
				return fmt.Errorf("%s: record %d stands behind a later one", s.Path, e.Index)
			}
			next = e.Index + 1
			return errors.Join(ctx.Err(), pass(e.Index, e.Leaf, e.AmendedBy))
		})
		return err
	}
	// Where the last record cannot be read, those before it can.
	held, unknown := s.Log.Coverage(ctx)
	if err := filter.Read(ctx, s.Log, max(from, held.First), min(to, s.Log.Size()), fn); err != nil {
		return err
	}
	return errors.Join(unknown, s.Log.Damage())
}

// Covered is which records a source holds.
type Covered struct {
	First, End     uint64 // indexes [First, End), of which some may be left out
	Count          uint64
	Oldest, Newest time.Time
}

// Coverage reads which records a source holds.
func (s *Source) Coverage(ctx context.Context) (Covered, error) {
	if s.Kind == Directory {
		held, err := s.Log.Coverage(ctx)
		return Covered{held.First, held.Size, held.Size - held.First, held.Oldest, held.Newest}, errors.Join(err, s.Log.Damage())
	}
	every, err := api.NewLogFilter(nil)
	if err != nil {
		return Covered{}, err
	}
	var c Covered
	err = s.Read(ctx, every, 0, ^uint64(0), func(index uint64, leaf []byte) error {
		s.Amended(index)
		r, err := record.Parse(leaf)
		if c.Count == 0 {
			c.First, c.Oldest = index, r.Time
		}
		c.Count++
		c.End, c.Newest = index+1, r.Time
		return err
	})
	return c, err
}

// Streams makes one stream an origin of several sources, in the order of the origins' first sources.
func Streams(sources []*Source, filter *api.LogFilter, from, to uint64) []origins.Stream {
	var order []string
	byOrigin := map[string][]origins.Stream{}
	for _, s := range sources {
		if byOrigin[s.Origin] == nil {
			order = append(order, s.Origin)
		}
		byOrigin[s.Origin] = append(byOrigin[s.Origin], origins.Stream{Origin: s.Origin,
			Records: func(ctx context.Context, fn func(uint64, []byte) error) error {
				return s.Read(ctx, filter, from, to, fn)
			}})
	}
	streams := make([]origins.Stream, len(order))
	for i, origin := range order {
		streams[i] = origins.Union(origin, byOrigin[origin])
	}
	return streams
}
