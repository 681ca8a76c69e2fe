// Package origins reads several origins as one log: what a node wrote before and after its log was begun anew, what
// other nodes wrote, and copies that lie elsewhere.
//
// [Merge] shows the records of many by their time. An [Archive] opens closed origins where they are said to lie, and
// holds each against what is known of it elsewhere. [Links] compares origins with what their successors say of them.
//
// # Guaranteed
//
//   - An origin is read once, however often it lies there: of two copies the first is taken, and the other is a
//     [Problem].
//   - What cannot be read is named. An archive that is missing, damaged or of another log never keeps the others from
//     being read.
//   - A directory counts as an origin only under the key, and with the history, that is known of that origin.
//
// # Not guaranteed
//
//   - That the times of different origins can be compared: each is its own machine's clock, whose state the records tell.
//   - That a closed origin is whole: [netlog.Reader.Verify] says that.
//   - That an origin which somebody still writes to is read beyond what it held when it was opened.
package origins

import (
	"context"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Records is what a log shows of itself. Implementations are safe for concurrent use.
type Records interface {
	Origin() string
	Size() uint64
	// Get returns a record's bytes, or netlog.ErrNotFound.
	Get(ctx context.Context, index uint64) ([]byte, error)
	// Read calls fn with [from, to), in order; leaf is valid during the call.
	Read(ctx context.Context, from, to uint64, fn func(index uint64, leaf []byte) error) error
	// Search is Read of the records that pass a filter.
	Search(ctx context.Context, q *netlog.Query, from, to uint64, fn func(index uint64, leaf []byte, r *record.Record) error) error
	// Coverage says which records are there.
	Coverage(ctx context.Context) (netlog.Coverage, error)
}

// Proofs is what proves that a log's records are its own.
type Proofs interface {
	Key() string        // C2SP signed-note verifier key
	Checkpoint() []byte // the newest signed note; nil = none
	// Proof returns the C2SP tlog-proof of a record, or netlog.ErrNotFound.
	Proof(ctx context.Context, index uint64) ([]byte, error)
	ReadHashes(indexes []int64) ([]tree.Hash, error)
	Verify(ctx context.Context, outside ...netlog.Evidence) (netlog.Report, error)
}

// Log is one origin that can be read. *netlog.Reader and *netlog.Log are some.
type Log interface {
	Records
	Proofs
}
