package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/heyan-project/heyan/server/api"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// ErrForeignLog means that the log is not the one that the store knows, or an earlier state of it. Nothing was written.
var ErrForeignLog = errors.New("the network log is not as the store knows it")

// remedy ends what is said of such a log.
const remedy = "; put the newer log directory back, or begin a new origin: heyan init --new-origin restored --config FILE"

// Log is what the store is compared with: a *netlog.Log, or a *netlog.Reader of one that is written no more.
type Log interface {
	ReadHashes(indexes []int64) ([]tree.Hash, error)
	Origin() string
	Key() string // C2SP signed-note verifier key
	Size() uint64
	Checkpoint() []byte
	Get(ctx context.Context, index uint64) ([]byte, error)
}

// checkLog refuses a log that was cut, rolled back, rewritten or exchanged behind the store's back. It costs some tree
// hashes, however long the log is.
//
// Not noticed: log and store that were put back together, and what came after the newest checkpoint that the store has
// and the mark, some seconds before a crash, as long as the ledger has no row of it.
func checkLog(ctx context.Context, log *netlog.Log, s store.Store) error {
	size := log.Size()
	mark, err := s.Mark(ctx, log.Origin())
	if err != nil {
		return err
	}
	if mark > size {
		return fmt.Errorf("%w: %s ends after %d records, and had %d that the ledger agreed with"+remedy, ErrForeignLog, log.Origin(), size, mark)
	}
	row, err := store.TableOf[api.OriginRow](s, store.Origins).Get(ctx, log.Origin())
	if errors.Is(err, store.ErrNotFound) {
		return checkUnlisted(ctx, log, s)
	}
	if err != nil {
		return err
	}
	if row.Value.Key != log.Key() {
		return fmt.Errorf("%w: %s was under another key"+remedy, ErrForeignLog, log.Origin())
	}
	return checkCheckpoint(log, row.Value.Checkpoint)
}

// checkCheckpoint holds the log against a checkpoint that its key signed.
func checkCheckpoint(log Log, signed []byte) error {
	if len(signed) == 0 {
		return nil
	}
	verifier, err := tree.NewVerifier(log.Key())
	if err != nil {
		return err
	}
	known, err := verifier.Open(signed)
	if err != nil {
		return fmt.Errorf("%w: the store's checkpoint of %s: %w", ErrForeignLog, log.Origin(), err)
	}
	size := log.Size()
	if known.Size > size {
		return fmt.Errorf("%w: %s ends after %d records, and had %d when its newest known checkpoint was signed"+remedy, ErrForeignLog, log.Origin(), size, known.Size)
	}
	then, err := tree.Load(known.Size, log)
	if err != nil {
		return fmt.Errorf("%w: the tree of its first %d records cannot be read: %w", ErrForeignLog, known.Size, err)
	}
	if then.Root() != known.Root {
		return fmt.Errorf("%w: of the %d records of %s, the first %d are not those of its checkpoint"+remedy, ErrForeignLog, size, log.Origin(), known.Size)
	}
	return nil
}

// checkUnlisted refuses a log that the store has never seen, unless it is the node's first or follows one that the
// store has seen: compared with a stranger's records, every answer of the ledger would be at odds.
func checkUnlisted(ctx context.Context, log *netlog.Log, s store.Store) error {
	own, err := birthOf(ctx, log)
	if err != nil {
		return err
	}
	rows, err := store.TableOf[api.OriginRow](s, store.Origins).List(ctx, "", "", 0)
	if err != nil {
		return err
	}
	others := 0
	for _, row := range rows {
		if row.ID == own.Predecessor {
			return nil
		}
		if row.Value.Node == own.Node {
			others++
		}
	}
	if others > 0 {
		return fmt.Errorf("%w: %s with %d records is on no list, and follows none of the %d origins of this node"+remedy, ErrForeignLog, log.Origin(), log.Size(), others)
	}
	return nil
}

// birthOf reads from the log's first record what the store lists of an origin.
func birthOf(ctx context.Context, log Log) (api.OriginRow, error) {
	leaf, err := log.Get(ctx, 0)
	if errors.Is(err, netlog.ErrPurged) {
		// Its birth was purged. Origins are listed for ever, so this store was put back from before it.
		return api.OriginRow{}, fmt.Errorf("%w: the store does not list %s, whose first records were purged; put back a newer store", ErrForeignLog, log.Origin())
	}
	if err != nil {
		return api.OriginRow{}, fmt.Errorf("%w: its first record cannot be read: %w", ErrForeignLog, err)
	}
	born, err := record.Parse(leaf)
	if err == nil && born.Birth == nil {
		err = errors.New("it is not the log's birth")
	}
	if err != nil {
		return api.OriginRow{}, fmt.Errorf("%w: its first record cannot be read: %w", ErrForeignLog, err)
	}
	return api.OriginRow{
		Node: born.Actor.ID, Key: log.Key(), FirstTime: born.Time, Predecessor: born.Birth.Predecessor, Cause: born.Birth.Cause}, nil
}

// KeepOrigin lists the log's origin in the store, with its newest checkpoint. It writes only where the log has grown;
// where it does not hold what the store knows already, it is [ErrForeignLog].
func KeepOrigin(ctx context.Context, log Log, s store.Documents) error {
	table := store.TableOf[api.OriginRow](s, store.Origins)
	row, err := table.Get(ctx, log.Origin())
	if errors.Is(err, store.ErrNotFound) {
		row.Value, err = birthOf(ctx, log)
	}
	if err != nil {
		return err
	}
	newest := log.Checkpoint()
	if bytes.Equal(newest, row.Value.Checkpoint) {
		return nil
	}
	if err := checkCheckpoint(log, row.Value.Checkpoint); err != nil {
		return err
	}
	row.Value.Checkpoint = newest
	_, err = table.Put(ctx, log.Origin(), row.Value, row.Revision)
	return err
}
