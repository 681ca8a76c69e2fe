package netlog

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/heyan-project/heyan/store/netlog/atrest"
	"github.com/heyan-project/heyan/store/netlog/segment"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// verifySealed verifies the segments. Each has a checkpoint of its own over the whole tree up to its end, so what stands
// behind a damaged one is proven all the same.
func (v *verification) verifySealed() error {
	names, err := segmentNames(v.r.dir)
	if err != nil {
		return err
	}
	for i, name := range names {
		first, ok := firstOf(name)
		if !ok || first < v.sealed {
			continue
		}
		v.file = name
		if first > v.next {
			v.find(Missing, v.next, first, 0, "records before this segment are not there")
		}
		if err := v.verifySegment(name, first, i == len(names)-1); err != nil {
			return err
		}
		v.report.Files++
		v.report.Segments++
		v.sealed, v.footing, v.footed = v.next, v.frontier, v.sound
	}
	v.file = ""
	return nil
}

// verifySegment verifies one segment. The last one may have been sealed just now, and have no manifest yet.
func (v *verification) verifySegment(name string, first uint64, last bool) error {
	m, err := readManifest(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && last:
	case errors.Is(err, fs.ErrNotExist):
		v.find(Missing, first, 0, 0, "manifest is gone")
	case errors.As(err, new(*segmentError)):
		v.find(Tampered, first, 0, 0, "manifest is damaged")
	case err != nil:
		return err
	}
	v.next = max(first, m.End)
	f, err := segment.Open(name, v.r.sealKey)
	var damage *segment.DamageError
	switch {
	case errors.Is(err, atrest.ErrNoKey), errors.Is(err, atrest.ErrKey), errors.Is(err, segment.ErrVersion):
		v.find(Unverifiable, first, m.End, 0, strings.TrimPrefix(err.Error(), "segment: "))
	case errors.As(err, &damage):
		v.find(Tampered, first, m.End, 0, damage.Part+": "+damage.Reason)
	case errors.Is(err, fs.ErrNotExist):
		v.find(Missing, first, m.End, 0, "segment is gone")
	case err != nil:
		return err
	default:
		defer f.Close()
		return v.verifyOpen(name, f, m)
	}
	v.sound = false
	return nil
}

// verifyOpen verifies a segment whose footer could be read.
func (v *verification) verifyOpen(name string, f *segment.File, m Manifest) error {
	h, footer, known := f.Header(), f.Footer(), v.known
	v.next, v.known = h.End, max(v.known, h.End)
	if h.Origin != v.r.Origin() {
		v.find(Tampered, h.First, h.End, 0, "segment is of another origin")
		v.sound = false
		return nil
	}
	if before, ok := tree.FromEdge(h.First, footer.Edge); v.sound && ok && v.frontier.Size() == h.First && v.frontier.Root() != before.Root() {
		v.find(Tampered, h.First, h.End, 0, "segment begins with another tree")
	}
	var each func(tree.Hash, *tree.Frontier)
	if len(v.targets) > 0 {
		each = func(leaf tree.Hash, grown *tree.Frontier) {
			v.frontier = *grown
			v.weighAt(grown.Size(), leaf)
		}
	}
	damage, err := f.Verify(v.ctx, v.r.verifier, each)
	if err != nil {
		return err
	}
	bad, footing := uint64(0), true
	for _, d := range damage {
		v.find(Tampered, d.First, d.End, 0, d.Part+": "+d.Reason)
		bad += d.End - d.First
		footing = footing && d.Part != "footer"
	}
	if err := v.compareManifest(name, f, m); err != nil {
		return err
	}
	if v.sound = footing; !footing {
		return nil
	}
	v.report.Commits++
	if fresh := h.End - max(h.First, min(known, h.End)); fresh > bad {
		v.report.Verified += fresh - bad
	}
	v.frontier, v.sound = after(f)
	return nil
}

// after returns the tree at the end of a segment whose footer holds.
func after(f *segment.File) (tree.Frontier, bool) {
	frontier, ok := tree.FromEdge(f.Header().First, f.Footer().Edge)
	for i := range f.Footer().Frames {
		frontier.AppendSubtree(8, f.Footer().Frames[i].Root, nil)
	}
	return frontier, ok
}

// compareManifest compares what the manifest claims with the file.
func (v *verification) compareManifest(name string, f *segment.File, m Manifest) error {
	if m.Format == 0 {
		return nil // found missing or damaged before
	}
	shown, err := manifestOf(name, f, m.Region)
	if err != nil {
		return err
	}
	if m.SHA256 = strings.ToLower(m.SHA256); !sameManifest(m, shown) {
		v.find(Tampered, m.First, m.End, 0, "manifest says something else than the segment")
	}
	return nil
}

func sameManifest(a, b Manifest) bool {
	oldest, latest := a.Oldest.Equal(b.Oldest), a.Latest.Equal(b.Latest)
	a.Oldest, a.Latest = b.Oldest, b.Latest
	return oldest && latest && a == b
}
