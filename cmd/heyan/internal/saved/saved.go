// Package saved is a file of log records that verifies without a server: what `heyan log list --save` writes.
//
// It is JSON Lines. A line is a record: where it stands, the bytes that the Merkle tree holds (leaf, base64), and the
// same decoded for reading. The last line is the signed checkpoint that covers them, and the count.
//
//	{"origin":"node1-5f3a","index":0,"time":"2026-11-22T08:00:00Z","record":{…},"leaf":"…","leaf_hash":"…"}
//	{"count":1,"checkpoint":"node1-5f3a\n1\n…\n\n— node1-5f3a …\n"}
//
// [Verify] proves a file that holds every record from index 0 up to its checkpoint: it recomputes the root from the
// leaves and compares it with what the key's owner signed, and each shown record with its leaf. What it does not prove:
// that the owner of the key signed no other history. Checkpoints kept elsewhere do; give them to it. The last line of a
// filtered file notes the filter (selection): of such a file it can say that nothing shown differs from its leaf, and
// no more: [ErrSelection], unless the selection happens to be everything.
package saved

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	logv1 "github.com/heyan-project/heyan/proto/heyan/log/v1"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Entry is one record as a line shows it.
type Entry struct {
	Origin    string          `json:"origin"`
	Index     uint64          `json:"index"`
	Time      string          `json:"time"` // RFC 3339, UTC
	Record    json.RawMessage `json:"record"`
	Leaf      []byte          `json:"leaf"`
	LeafHash  []byte          `json:"leaf_hash"`
	AmendedBy string          `json:"amended_by,omitempty"` // what the server says of it; not part of the leaf
}

// End is the last line.
type End struct {
	Count      uint64          `json:"count"`
	Checkpoint string          `json:"checkpoint"`          // signed note
	Selection  json.RawMessage `json:"selection,omitempty"` // what was asked for, where that was not the whole log
	// Of a listing of several logs, which [Verify] takes for one that does not hold together: the newest checkpoints of
	// the others, and the logs that could not be read.
	Others  []string `json:"other_checkpoints,omitempty"`
	Missing []string `json:"missing_origins,omitempty"`
}

// Decode reads a leaf.
func Decode(leaf []byte) (*logv1.Record, error) {
	record := &logv1.Record{}
	if err := proto.Unmarshal(leaf, record); err != nil {
		return nil, fmt.Errorf("the leaf is no record")
	}
	return record, nil
}

// NewEntry makes the line of a record that a server sent. It recomputes the leaf's hash; where that is not the one
// that was sent, it is an error.
func NewEntry(m *heyanv1.ListLogEntriesResponse) (Entry, *logv1.Record, error) {
	record, err := Decode(m.GetLeaf())
	if err != nil {
		return Entry{}, nil, err
	}
	hash := tree.LeafHash(m.GetLeaf())
	if len(m.GetLeafHash()) > 0 && string(m.GetLeafHash()) != string(hash[:]) {
		return Entry{}, nil, fmt.Errorf("record %d: its bytes do not have the hash that the server sent", m.GetPosition().GetIndex())
	}
	shown, err := show(record)
	if err != nil {
		return Entry{}, nil, err
	}
	return Entry{
		Origin: m.GetPosition().GetOrigin(), Index: m.GetPosition().GetIndex(), Time: Time(record), Record: shown,
		Leaf: m.GetLeaf(), LeafHash: hash[:], AmendedBy: m.GetAmendedBy(),
	}, record, nil
}

// show decodes a record for reading: proto JSON, with the trace id in hexadecimal as W3C Trace Context writes it and
// tools of tracing search for it.
func show(record *logv1.Record) ([]byte, error) {
	shown, err := output.Sparse(record)
	id := record.GetTraceId()
	if err != nil || len(id) == 0 {
		return shown, err
	}
	member := func(text string) []byte { return []byte(`"trace_id":"` + text + `"`) }
	return bytes.Replace(shown, member(base64.StdEncoding.EncodeToString(id)), member(hex.EncodeToString(id)), 1), nil
}

// Time is a record's time in RFC 3339, UTC.
func Time(record *logv1.Record) string {
	return time.Unix(0, int64(record.GetTimeUnixNano())).UTC().Format(time.RFC3339Nano)
}

// WriteEnd writes the last line of a listing, from the message that ends it. It notes what was asked for, unless that was the whole log.
func WriteEnd(w io.Writer, m *heyanv1.ListLogEntriesResponse, asked *heyanv1.ListLogEntriesRequest) error {
	end := End{Count: m.GetCount(), Checkpoint: string(m.GetCheckpoint().GetNote()), Missing: m.GetMissingOrigins()}
	for _, other := range m.GetOtherCheckpoints() {
		end.Others = append(end.Others, string(other.GetNote()))
	}
	selection := &heyanv1.ListLogEntriesRequest{
		StartIndex: asked.GetStartIndex(), EndIndex: asked.GetEndIndex(), Limit: asked.GetLimit(), Last: asked.GetLast(),
	}
	if proto.Size(asked.GetFilter()) > 0 {
		selection.Filter = asked.GetFilter()
	}
	if proto.Size(selection) > 0 {
		var err error
		if end.Selection, err = output.Sparse(selection); err != nil {
			return err
		}
	}
	return output.ValueLine(w, end)
}

// shows reports whether a line shows what its leaf says.
func (e Entry) shows() error {
	record, err := Decode(e.Leaf)
	if err != nil {
		return err
	}
	if e.Time != Time(record) {
		return fmt.Errorf("the time shown is not the leaf's")
	}
	want, err := show(record)
	if err != nil {
		return err
	}
	var shown, held any
	if json.Unmarshal(e.Record, &shown) != nil || json.Unmarshal(want, &held) != nil || !reflect.DeepEqual(shown, held) {
		return fmt.Errorf("the record shown is not the leaf's")
	}
	if hash := tree.LeafHash(e.Leaf); string(hash[:]) != string(e.LeafHash) {
		return fmt.Errorf("the hash shown is not the leaf's")
	}
	return nil
}
