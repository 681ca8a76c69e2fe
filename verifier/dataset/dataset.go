// Package dataset is authority data as Heyan keeps it: what becomes of an imported row, and the life of a
// dataset's generations.
//
// A row of values that belong together becomes, for each field that some product looks people up by, one
// [Entry]: an anchor, HMAC(K_anchor, anchor), and a [Record] that lists for every other field compared under
// that anchor HMAC(K_link, anchor ‖ value). No value, no name and nothing that links two anchors is kept; two
// anchors of one person hold no equal bytes.
//
// Within a generation the rows of one anchor add up as separate records, because two people may share a
// number: a match needs one record that holds every asked link.
package dataset

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/field"
)

// Link is one value that belongs to an anchor.
type Link struct {
	Kind   field.Kind
	Digest digest.Digest
}

// Record is the values that one row holds under one anchor.
type Record struct {
	Links     []Link // ascending by kind, at most one a kind
	PlateKind string // 号牌种类, two digits, with a plate as anchor; empty = none
}

// Get returns the link of a kind.
func (r *Record) Get(kind field.Kind) (digest.Digest, bool) {
	for i := range r.Links {
		if r.Links[i].Kind == kind {
			return r.Links[i].Digest, true
		}
	}
	return digest.Digest{}, false
}

// Entry is one record under its anchor.
type Entry struct {
	Anchor digest.Digest
	Record Record
}

// Shape says which fields are compared under which anchor.
type Shape map[field.Kind]field.Set

// Anchor returns what a value is looked up by.
func Anchor(ring *digest.Keyring, anchor field.Value) digest.Digest {
	return ring.Values(digest.RegistryAnchor, anchor)
}

// LinkOf returns what shows that value belongs to anchor.
func LinkOf(ring *digest.Keyring, anchor, value field.Value) Link {
	return Link{Kind: value.Kind(), Digest: ring.Values(digest.RegistryLink, anchor, value)}
}

// Entries returns what is kept of one row, appended to dst. values holds at most one of each kind; a row in
// which no anchor stands beside a field compared under it gives nothing. What stood in dst beyond its length is
// overwritten, links included.
func (s Shape) Entries(dst []Entry, ring *digest.Keyring, values []field.Value, plateKind string) []Entry {
	for _, anchor := range values {
		kinds, asked := s[anchor.Kind()]
		if !asked {
			continue
		}
		record := spare(dst)
		for _, v := range values {
			if kinds.Has(v.Kind()) && v.Kind() != anchor.Kind() {
				record.Links = insert(record.Links, LinkOf(ring, anchor, v))
			}
		}
		if len(record.Links) == 0 {
			continue
		}
		if anchor.Kind() == field.LicensePlateNumber {
			record.PlateKind = plateKind
		}
		dst = append(dst, Entry{Anchor: Anchor(ring, anchor), Record: record})
	}
	return dst
}

// spare is the record that stood in dst's next place before, for the memory of its links.
func spare(dst []Entry) Record {
	if len(dst) < cap(dst) {
		return Record{Links: dst[:len(dst)+1][len(dst)].Record.Links[:0]}
	}
	return Record{}
}

func insert(links []Link, link Link) []Link {
	at := len(links)
	for at > 0 && links[at-1].Kind > link.Kind {
		at--
	}
	links = append(links, Link{})
	copy(links[at+1:], links[at:])
	links[at] = link
	return links
}

// ErrRecord is what ParseRecord answers for bytes that AppendRecord did not write.
var ErrRecord = errors.New("dataset: malformed record")

// AppendRecord encodes r: one byte with a bit for each kind present (bit 0 for a plate kind), the plate kind's
// two digits if any, then the digests in ascending kind.
func AppendRecord(dst []byte, r *Record) []byte {
	var bits byte
	for i := range r.Links {
		bits |= 1 << r.Links[i].Kind
	}
	if len(r.PlateKind) == 2 {
		bits |= 1
	}
	dst = append(dst, bits)
	if bits&1 != 0 {
		dst = append(dst, r.PlateKind...)
	}
	for i := range r.Links {
		dst = append(dst, r.Links[i].Digest[:]...)
	}
	return dst
}

// ParseRecord decodes what AppendRecord wrote, exactly. It reuses the links of r.
func ParseRecord(b []byte, r *Record) error {
	r.Links, r.PlateKind = r.Links[:0], ""
	if len(b) == 0 || b[0]&0x80 != 0 {
		return ErrRecord
	}
	bits := b[0]
	b = b[1:]
	if bits&1 != 0 {
		if len(b) < 2 {
			return ErrRecord
		}
		r.PlateKind = string(b[:2])
		if !ValidPlateKind(r.PlateKind) {
			return ErrRecord
		}
		b = b[2:]
	}
	for _, kind := range field.Kinds() {
		if bits&(1<<kind) == 0 {
			continue
		}
		if len(b) < digest.Size {
			return ErrRecord
		}
		r.Links = append(r.Links, Link{Kind: kind, Digest: digest.Digest(b[:digest.Size])})
		b = b[digest.Size:]
	}
	if len(b) != 0 || len(r.Links) == 0 {
		return ErrRecord
	}
	return nil
}

// ValidPlateKind reports whether s is a code of 号牌种类 (GA/T 16.7): two digits.
func ValidPlateKind(s string) bool {
	return len(s) == 2 && '0' <= s[0] && s[0] <= '9' && '0' <= s[1] && s[1] <= '9'
}

// State is where a generation stands. Numbers are those of heyan.v1.Dataset.State.
type State uint8

// The states. The zero State is invalid.
const (
	Staged   State = iota + 1 // imported, waits for a second person
	Active                    // answers calls
	Replaced                  // its file is gone
)

// Generation is one import of a dataset.
type Generation struct {
	Number       int64
	State        State
	AsOf         time.Time
	Description  string
	Rows         int64
	Anchors      int64
	Bytes        int64
	ImportedBy   string // operator
	ImportPerson string // person
	ActivatedBy  string // operator
	ImportTime   time.Time
	ActivateTime time.Time
	Deleted      int64
	Deletions    []Deletion // the newest MaxDeletions, oldest first
	Reason       string     // why its file was deleted; empty where another generation replaced it
	Suite        string
}

// Deletion is one act that deleted records from a generation.
type Deletion struct {
	Time    time.Time
	By      string // operator
	Records int64
	Reason  string
}

// MaxDeletions is how many deletions a generation remembers: all of a dataset is read and written as one.
const MaxDeletions = 100

// Delete counts a deletion and remembers it. A copy of g made before stays as it is.
func (g *Generation) Delete(d Deletion) {
	g.Deleted += d.Records
	g.Deletions = append(slices.Clip(g.Deletions[max(0, len(g.Deletions)-MaxDeletions+1):]), d)
}

// Dataset is a named line of generations, of which at most one is active.
type Dataset struct {
	ID          string
	Order       int // the operator's order between datasets of equal age
	Generations []Generation
}

// Active returns the generation that answers calls.
func (d *Dataset) Active() (*Generation, bool) {
	for i := range d.Generations {
		if d.Generations[i].State == Active {
			return &d.Generations[i], true
		}
	}
	return nil, false
}

// Find returns a generation by number.
func (d *Dataset) Find(number int64) (*Generation, bool) {
	for i := range d.Generations {
		if d.Generations[i].Number == number {
			return &d.Generations[i], true
		}
	}
	return nil, false
}

// Next returns the number of the next generation.
func (d *Dataset) Next() int64 {
	var last int64
	for i := range d.Generations {
		last = max(last, d.Generations[i].Number)
	}
	return last + 1
}

// Freshest sorts datasets with an active generation by the age of their data, the newest first; of equals the
// operator's order decides, then the id.
func Freshest(active []*Dataset) {
	slices.SortFunc(active, func(a, b *Dataset) int {
		x, _ := a.Active()
		y, _ := b.Active()
		return cmp.Or(y.AsOf.Compare(x.AsOf), cmp.Compare(a.Order, b.Order), cmp.Compare(a.ID, b.ID))
	})
}
