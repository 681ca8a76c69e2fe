package netlog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/segment"
	"github.com/heyan-project/heyan/store/netlog/wal"
)

// Names in a log's directory.
const (
	segmentDir     = "segments"
	segmentSuffix  = ".seg"
	manifestSuffix = ".json"
)

// Manifest describes a segment. It stands beside it, in clear, and says nothing that is not derived from it but the
// region. SHA-256 is of the whole file, so that a copy elsewhere can be compared.
type Manifest struct {
	Format int       `json:"format"` // 1
	Origin string    `json:"origin"`
	First  uint64    `json:"first"` // records [First, End)
	End    uint64    `json:"end"`
	Bytes  int64     `json:"bytes"`
	SHA256 string    `json:"sha256"`
	Root   string    `json:"root"` // of the tree at End, hexadecimal
	Oldest time.Time `json:"oldest"`
	Latest time.Time `json:"latest"`
	Region string    `json:"region,omitempty"`
}

func segmentName(dir string, first uint64) string {
	return filepath.Join(dir, segmentDir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

func manifestName(segment string) string {
	return strings.TrimSuffix(segment, segmentSuffix) + manifestSuffix
}

func newManifest(s segment.Sealed, region string) Manifest {
	oldest, latest := s.Footer.Span()
	return Manifest{Format: 1, Origin: s.Header.Origin, First: s.Header.First, End: s.Header.End, Bytes: s.Bytes,
		SHA256: hex.EncodeToString(s.SHA256[:]), Root: hex.EncodeToString(s.Footer.Root[:]), Oldest: oldest, Latest: latest, Region: region}
}

func (m *Manifest) write(fsys disk.FS, segment string) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return disk.WriteFile(fsys, manifestName(segment), append(b, '\n'))
}

// readManifest reads the manifest of a segment.
func readManifest(segment string) (Manifest, error) {
	var m Manifest
	b, err := os.ReadFile(manifestName(segment))
	if err != nil {
		return m, err
	}
	if err := strictJSON(b, &m); err != nil || m.Format != 1 || segmentName("", m.First) != filepath.Join(segmentDir, filepath.Base(segment)) || m.End <= m.First {
		return m, &segmentError{filepath.Base(manifestName(segment)), "not a manifest of this segment"}
	}
	return m, nil
}

// segmentError is a fault of the files in the directory of segments. It matches wal.ErrCorrupt, as all damage of a log
// does.
type segmentError struct{ file, reason string }

func (e *segmentError) Error() string {
	return fmt.Sprintf("netlog: corrupt: %s: %s", e.file, e.reason)
}

// Is tells that e is damage.
func (e *segmentError) Is(target error) bool { return target == wal.ErrCorrupt }

// describe makes the manifest of a segment that has none: a crash came between the two. The region is not known then.
func describe(segmentPath string, sealKey []byte) (Manifest, error) {
	f, err := segment.Open(segmentPath, sealKey)
	if err != nil {
		return Manifest{}, err
	}
	defer f.Close()
	return manifestOf(segmentPath, f, "")
}

// manifestOf makes the manifest of a segment that is there.
func manifestOf(segmentPath string, f *segment.File, region string) (Manifest, error) {
	src, err := os.Open(segmentPath)
	if err != nil {
		return Manifest{}, err
	}
	defer src.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, src); err != nil {
		return Manifest{}, err
	}
	return newManifest(segment.Sealed{Header: f.Header(), Footer: f.Footer(), SHA256: [32]byte(sum.Sum(nil)), Bytes: f.Size()}, region), nil
}

// segmentNames returns the segments of a log, in order: those that are there, and those that a manifest says should be.
func segmentNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, segmentDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if stem, ok := strings.CutSuffix(e.Name(), manifestSuffix); ok {
			names = append(names, filepath.Join(dir, segmentDir, stem+segmentSuffix))
		} else if filepath.Ext(e.Name()) == segmentSuffix {
			names = append(names, filepath.Join(dir, segmentDir, e.Name()))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Segments returns the manifests of the sealed segments that are here, from the oldest.
func (r *Reader) Segments() []Manifest {
	sealed := r.snapshot().sealed
	list := make([]Manifest, len(sealed))
	for i, s := range sealed {
		list[i] = s.Manifest
	}
	return list
}
