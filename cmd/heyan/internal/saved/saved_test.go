package saved

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	logv1 "github.com/heyan-project/heyan/proto/heyan/log/v1"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

const origin = "node1-5f3a"

// log is a signed log of n records.
type log struct {
	signer  *tree.Signer
	key     tree.Verifier
	entries []*heyanv1.ListLogEntriesResponse
	notes   map[uint64][]byte // by size
	filter  *heyanv1.LogFilter
}

func newLog(t *testing.T, n int) *log {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tree.NewSigner(origin, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := tree.NewVerifier(signer.Key())
	if err != nil {
		t.Fatal(err)
	}
	l := &log{signer: signer, key: key, notes: map[uint64][]byte{}}
	var edge tree.Frontier
	for i := range n {
		leaf, err := proto.MarshalOptions{Deterministic: true}.Marshal(&logv1.Record{
			TimeUnixNano: uint64(time.Date(2026, 11, 22, 8, 0, i, 0, time.UTC).UnixNano()),
			Event:        "verification.verify",
			Outcome:      &logv1.Outcome{Kind: logv1.OutcomeKind_OUTCOME_KIND_SUCCESS},
			Actor:        &logv1.Actor{Id: fmt.Sprint("client-", i)},
		})
		if err != nil {
			t.Fatal(err)
		}
		hash := tree.LeafHash(leaf)
		edge.Append(hash, nil)
		if l.notes[edge.Size()], err = signer.Sign(edge.Size(), edge.Root()); err != nil {
			t.Fatal(err)
		}
		l.entries = append(l.entries, &heyanv1.ListLogEntriesResponse{
			Position: &heyanv1.LogPosition{Origin: origin, Index: uint64(i)}, Leaf: leaf, LeafHash: hash[:],
		})
	}
	return l
}

// file writes what `log list --save` writes, with the checkpoint of a size.
func (l *log) file(t *testing.T, size uint64) string {
	t.Helper()
	var out bytes.Buffer
	for _, m := range l.entries {
		entry, _, err := NewEntry(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := output.ValueLine(&out, entry); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteEnd(&out, &heyanv1.ListLogEntriesResponse{Count: uint64(len(l.entries)), Checkpoint: &heyanv1.Checkpoint{Note: l.notes[size]}}, &heyanv1.ListLogEntriesRequest{Filter: l.filter}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A file that says that it is a selection is neither whole nor is anything missing of it; what it shows still has to
// be what its leaves say.
func TestSelection(t *testing.T) {
	l := newLog(t, 9)
	every := l.entries
	l.filter = &heyanv1.LogFilter{Client: "acme"}
	if answer := verify(t, l.file(t, 9), l.key); !answer.GetWhole() {
		t.Errorf("a selection of everything: %v", answer.GetFindings())
	}
	l.entries = []*heyanv1.ListLogEntriesResponse{every[2], every[5], every[6]}
	some := l.file(t, 9)
	if !strings.Contains(some, `"selection":{"filter":{"client":"acme"}}`) {
		t.Errorf("the last line does not say what was selected: %s", some[strings.LastIndex(some, `{"count`):])
	}
	check := func(text string, key tree.Verifier) (*heyanv1.VerifyLogResponse, error) {
		return Verify(func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }, "x", key, [][]byte{l.notes[4]})
	}
	if _, err := check(some, l.key); !errors.Is(err, ErrSelection) {
		t.Errorf("a selection: %v", err)
	}
	l.entries = every[:4] // a beginning
	if _, err := check(l.file(t, 9), l.key); !errors.Is(err, ErrSelection) {
		t.Errorf("a beginning: %v", err)
	}
	l.entries = []*heyanv1.ListLogEntriesResponse{every[2], every[6], every[5]}
	disordered := l.file(t, 9)
	for name, c := range map[string]struct {
		text string
		key  tree.Verifier
		kind string
	}{
		"changed":      {strings.Replace(some, `"id":"client-5"`, `"id":"client-7"`, 1), l.key, Tampered},
		"a line less":  {some[strings.Index(some, "\n")+1:], l.key, Missing},
		"out of order": {disordered, l.key, Tampered},
		"another key":  {some, newLog(t, 1).key, Unverifiable},
	} {
		answer, err := check(c.text, c.key)
		if err != nil || answer.GetWhole() || answer.GetFindings()[0].GetKind() != c.kind {
			t.Errorf("%s: %v, %v", name, answer.GetFindings(), err)
		}
	}
}

func verify(t *testing.T, text string, key tree.Verifier, outside ...[]byte) *heyanv1.VerifyLogResponse {
	t.Helper()
	open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	answer, err := Verify(open, "saved.jsonl", key, outside)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestWhole(t *testing.T) {
	l := newLog(t, 9)
	answer := verify(t, l.file(t, 9), l.key, l.notes[4], l.notes[9])
	if !answer.GetWhole() || answer.GetRecords() != 9 || answer.GetAnchored() != 2 || answer.GetCheckpoint().GetSize() != 9 {
		t.Errorf("answer = %v", answer)
	}
}

func TestFindings(t *testing.T) {
	l, other := newLog(t, 9), newLog(t, 9)
	whole := l.file(t, 9)
	lines := strings.SplitAfter(whole, "\n")
	without := func(i int) string {
		return strings.Join(append(append([]string{}, lines[:i]...), lines[i+1:]...), "")
	}
	for name, c := range map[string]struct {
		text    string
		key     tree.Verifier
		outside [][]byte
		kind    string
	}{
		"shown actor changed":   {text: strings.Replace(whole, `"id":"client-4"`, `"id":"client-7"`, 1), kind: Tampered},
		"shown time changed":    {text: strings.Replace(whole, "08:00:05Z", "08:00:06Z", 1), kind: Tampered},
		"shown index changed":   {text: strings.Replace(whole, `"index":3`, `"index":8`, 1), kind: Missing},
		"a record left out":     {text: without(4), kind: Missing},
		"the first left out":    {text: without(0), kind: Missing},
		"the last left out":     {text: without(8), kind: Missing},
		"two exchanged":         {text: strings.Join([]string{lines[1], lines[0]}, "") + strings.Join(lines[2:], ""), kind: Missing},
		"a line spoilt":         {text: strings.Replace(whole, `{"origin"`, `{"0rigin"`, 1), kind: Tampered},
		"an older checkpoint":   {text: l.file(t, 8), kind: Unverifiable},
		"another key":           {text: whole, key: other.key, kind: Unverifiable},
		"another history":       {text: whole, outside: [][]byte{forged(t, l)}, kind: Tampered},
		"a foreign checkpoint":  {text: whole, outside: [][]byte{[]byte("x")}, kind: Unverifiable},
		"a longer history once": {text: l.file(t, 5), outside: [][]byte{l.notes[9]}, kind: Unverifiable},
	} {
		t.Run(name, func(t *testing.T) {
			key := c.key
			if key == (tree.Verifier{}) {
				key = l.key
			}
			answer := verify(t, c.text, key, c.outside...)
			if answer.GetWhole() {
				t.Fatal("found whole")
			}
			kinds := ""
			for _, f := range answer.GetFindings() {
				kinds += f.GetKind() + ": " + f.GetText() + "\n"
			}
			if !strings.Contains(kinds, c.kind+":") {
				t.Errorf("findings want %s:\n%s", c.kind, kinds)
			}
		})
	}
}

// forged is a checkpoint of size 5, signed by the log's own key, over other records.
func forged(t *testing.T, l *log) []byte {
	t.Helper()
	note, err := l.signer.Sign(5, tree.LeafHash([]byte("another history")))
	if err != nil {
		t.Fatal(err)
	}
	return note
}

// Every leaf with one bit flipped is found, with its shown form made to fit.
func TestEveryFlippedLeafIsFound(t *testing.T) {
	l := newLog(t, 5)
	for i, m := range l.entries {
		for at := range m.GetLeaf() {
			m.Leaf[at] ^= 1
			hash := tree.LeafHash(m.GetLeaf())
			saved := m.GetLeafHash()
			m.LeafHash = hash[:]
			if _, _, err := NewEntry(m); err == nil {
				if answer := verify(t, l.file(t, 5), l.key); answer.GetWhole() {
					t.Errorf("record %d, byte %d: a flipped bit was not found", i, at)
				}
			}
			m.Leaf[at] ^= 1
			m.LeafHash = saved
		}
	}
}

// The trace id is shown as tools of tracing write it, and a changed one is found.
func TestTraceID(t *testing.T) {
	leaf, err := proto.Marshal(&logv1.Record{Event: "verification.verify", TraceId: []byte{0x4b, 0xf9, 0x2f, 0x35}})
	if err != nil {
		t.Fatal(err)
	}
	entry, _, err := NewEntry(&heyanv1.ListLogEntriesResponse{Leaf: leaf})
	if err != nil || !strings.Contains(string(entry.Record), `"trace_id":"4bf92f35"`) {
		t.Fatalf("shown %s, %v", entry.Record, err)
	}
	if err := entry.shows(); err != nil {
		t.Error(err)
	}
	entry.Record = bytes.Replace(entry.Record, []byte("4bf92f35"), []byte("4bf92f36"), 1)
	if entry.shows() == nil {
		t.Error("another trace id was not found")
	}
}

func TestServerHashIsChecked(t *testing.T) {
	l := newLog(t, 1)
	l.entries[0].LeafHash[0] ^= 1
	if _, _, err := NewEntry(l.entries[0]); err == nil {
		t.Error("a leaf that does not have its hash was taken")
	}
}

func TestNoFile(t *testing.T) {
	l := newLog(t, 2)
	for name, text := range map[string]string{"empty": "", "no end": strings.SplitAfter(l.file(t, 2), "\n")[0]} {
		open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
		if _, err := Verify(open, "x", l.key, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
