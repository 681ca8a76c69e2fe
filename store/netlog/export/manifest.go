package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Version is the format that this package writes and reads.
const Version = 2

// maxManifest bounds what a parser reads; a hundred consistency proofs are half a megabyte.
const maxManifest = 4 << 20

// Manifest describes an export. Indexes are those of the origin's tree; ranges are half open. Times are RFC 3339, UTC.
type Manifest struct {
	Version     int    `json:"version"`
	Origin      string `json:"origin"`
	VerifierKey string `json:"verifier_key"` // to be compared with one from a safer place

	Range  Range  `json:"range"`
	Filter Filter `json:"filter"` // empty: every record of the range

	Format  Format   `json:"format"`
	Lang    Lang     `json:"lang"`
	BOM     bool     `json:"bom"`
	Columns []string `json:"columns"`

	Count uint64 `json:"count"`           // rows
	First *End   `json:"first,omitempty"` // of the rows
	Last  *End   `json:"last,omitempty"`
	Files []File `json:"files"`

	Tree        Tree          `json:"tree"`
	Consistency []Consistency `json:"consistency,omitempty"` // with older trees, for outside checkpoints

	Gaps               []Gap  `json:"gaps,omitempty"` // of the range: what the log does not hold
	RetentionStatement string `json:"retention_statement"`
	Requester          string `json:"requester"`
	Region             string `json:"region"`
	MakeTime           string `json:"make_time"`
}

// Range is which records were looked at.
type Range struct {
	FromIndex uint64 `json:"from_index"`
	ToIndex   uint64 `json:"to_index"`
}

// Filter is what a record had to be like, by the names and in the texts of heyan.v1.LogFilter. Members that are set had
// all to agree.
type Filter struct {
	StartTime    string `json:"start_time,omitempty"`
	EndTime      string `json:"end_time,omitempty"`
	Client       string `json:"client,omitempty"`
	Actor        string `json:"actor,omitempty"`
	Source       string `json:"source,omitempty"`
	Method       string `json:"method,omitempty"`
	Event        string `json:"event,omitempty"`
	Category     string `json:"category,omitempty"`
	Outcome      string `json:"outcome,omitempty"`
	Reason       string `json:"reason,omitempty"`
	Product      string `json:"product,omitempty"`
	Verification string `json:"verification,omitempty"`
	Session      string `json:"session,omitempty"`
}

// Empty tells that nothing was filtered.
func (f Filter) Empty() bool { return f == Filter{} }

// String returns the members that are set, "client=acme outcome=DENIED".
func (f Filter) String() string {
	var words []string
	for _, m := range []struct{ name, text string }{
		{"start_time", f.StartTime}, {"end_time", f.EndTime}, {"client", f.Client}, {"actor", f.Actor}, {"source", f.Source},
		{"method", f.Method}, {"event", f.Event}, {"category", f.Category}, {"outcome", f.Outcome}, {"reason", f.Reason},
		{"product", f.Product}, {"verification", f.Verification}, {"session", f.Session},
	} {
		if m.text != "" {
			words = append(words, m.name+"="+m.text)
		}
	}
	return strings.Join(words, " ")
}

// End is the first or last row: when it was, and the state of the clock that says so.
type End struct {
	Index       uint64 `json:"index"`
	Time        string `json:"time"`
	ClockState  string `json:"clock_state,omitempty"`
	ClockOffset int64  `json:"clock_offset_ns,omitempty"`
}

// File is a file of the export.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// Tree is the tree in which the rows are proven to be.
type Tree struct {
	Size       uint64 `json:"size"`
	Root       []byte `json:"root"`       // base64, 32 bytes
	Checkpoint string `json:"checkpoint"` // C2SP signed note
}

// Consistency is an RFC 6962 consistency proof from the tree of an older size.
type Consistency struct {
	Size   uint64   `json:"size"`
	Hashes [][]byte `json:"hashes"`
}

// Gap is a part of the range that the log does not hold: by indexes, or by time where no index is known.
type Gap struct {
	FromIndex uint64 `json:"from_index,omitempty"`
	ToIndex   uint64 `json:"to_index,omitempty"`
	FromTime  string `json:"from_time,omitempty"`
	ToTime    string `json:"to_time,omitempty"`
	Reason    string `json:"reason"` // BEFORE_FIRST_RECORD, AFTER_LAST_RECORD, PURGED
}

// Time writes a time as the manifest has it; "" for none.
func Time(t time.Time) string { return string(appendTime(nil, t.UTC())) }

// endOf describes a row.
func endOf(index uint64, r *record.Record) *End {
	e := &End{Index: index, Time: Time(r.Time), ClockOffset: int64(r.Clock.Offset)}
	if r.Clock.State != 0 {
		e.ClockState = r.Clock.State.String()
	}
	return e
}

func (m *Manifest) marshal() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(m); err != nil {
		return nil, err
	}
	// What JSON leaves as it is and a terminal does not stands inside of strings only.
	out := make([]byte, 0, b.Len())
	for _, r := range b.String() {
		if r != '\n' && hidden(r) {
			out = appendHidden(out, r)
			continue
		}
		out = utf8.AppendRune(out, r)
	}
	return out, nil
}

var (
	// errManifest is one that no exporter wrote.
	errManifest = errors.New("the manifest cannot be read")
	// errOlder is one that says nothing of totals, so that one whose totals were taken away could pass for it.
	errOlder = errors.New("the manifest is of an older version: export the range again")
	// errNewer is one of a version that this package does not know.
	errNewer = errors.New("the manifest is of a newer version: verify it with a newer program")
)

// parseManifest reads a manifest. One that is not written exactly as marshal writes it is refused: a member that stands
// twice, or that this version does not know, could mean something else to another reader.
func parseManifest(in io.Reader) (*Manifest, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxManifest+1))
	if err != nil {
		return nil, err
	}
	var version struct {
		Version int `json:"version"`
	}
	m := &Manifest{}
	switch {
	case len(text) > maxManifest || json.Unmarshal(text, &version) != nil:
		return nil, errManifest
	case version.Version > Version:
		return nil, errNewer
	case version.Version > 0 && version.Version < Version:
		return nil, errOlder
	case version.Version != Version || json.Unmarshal(text, m) != nil:
		return nil, errManifest
	}
	if again, err := m.marshal(); err != nil || !bytes.Equal(again, text) {
		return nil, errManifest
	}
	if _, err := m.Filter.totals(); err != nil {
		return nil, err
	}
	if len(m.Tree.Root) != len(tree.Hash{}) || m.Range.FromIndex > m.Range.ToIndex || m.Range.ToIndex > m.Tree.Size ||
		m.Count > m.Range.ToIndex-m.Range.FromIndex || (m.Count == 0) != (m.First == nil) || (m.Count == 0) != (m.Last == nil) {
		return nil, errManifest
	}
	return m, nil
}

// file returns what the manifest says of a file.
func (m *Manifest) file(name string) (File, error) {
	for _, f := range m.Files {
		if f.Name == name {
			return f, nil
		}
	}
	return File{}, fmt.Errorf("the manifest does not name %s", name)
}
