package sealed

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// purgePoll is how often Purge looks again for what Pebble does in the background.
const purgePoll = 5 * time.Millisecond

// afterAllKeys is greater than any key in use.
var afterAllKeys = bytes.Repeat([]byte{0xff}, 256)

// Purge makes everything that was deleted or overwritten before the call physically absent from the
// directory: from tables by compaction, from logs by rolling them, and from manifests, which name the
// first and last key of each table, by writing a new one and deleting the old.
//
// It may run for minutes; the database serves meanwhile. It waits for open iterators, because the
// files they read cannot be deleted. If ctx ends first nothing is claimed, and Purge can be called
// again.
//
// Not covered: copies made before, such as backups and snapshots of the file system, and blocks that
// the device keeps after a file was deleted. The latter are sealed, and the header without which they
// cannot be read was deleted with them.
func (d *DB) Purge(ctx context.Context) error {
	if d.watch.stopped.Load() {
		return ErrStopped
	}
	old, err := d.files.List(d.dir)
	if err != nil {
		return fail("purge", err)
	}
	if err := d.compactAway(ctx); err != nil {
		return fail("purge", err)
	}
	if err := d.rollManifest(ctx); err != nil {
		return fail("purge", err)
	}
	return fail("purge", d.awaitGone(ctx, old))
}

// compactAway compacts until no deletion made before is left in any table. What it deleted is then gone
// too, since nothing here keeps Pebble snapshots.
func (d *DB) compactAway(ctx context.Context) error {
	for {
		// Flushing rolls the log, also when there is nothing to write.
		if err := d.engine.Flush(); err != nil {
			return err
		}
		if err := d.engine.Compact(ctx, []byte{0}, afterAllKeys, true); err != nil {
			return err
		}
		if err := d.awaitStatistics(ctx); err != nil {
			return err
		}
		dirty, err := d.deletionHolders()
		if err != nil || len(dirty) == 0 {
			return err
		}
		if err := d.markForRewriting(dirty); err != nil {
			return err
		}
	}
}

// awaitStatistics waits until Pebble has counted the deletions in every table.
func (d *DB) awaitStatistics(ctx context.Context) error {
	for {
		m := d.engine.Metrics()
		if m.Table.InitialStatsCollectionComplete && m.Table.PendingStatsCollectionCount == 0 {
			return nil
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// deletionHolders returns the bounds of the tables of the last level that hold deletions. Whatever was
// deleted before compacting is there by now; higher levels only hold what was deleted since.
func (d *DB) deletionHolders() ([]pebble.KeyRange, error) {
	levels, err := d.engine.SSTables()
	if err != nil {
		return nil, err
	}
	var dirty []pebble.KeyRange
	for _, table := range levels[len(levels)-1] {
		if table.TableStats.NumDeletions > 0 {
			dirty = append(dirty, pebble.KeyRange{
				Start: bytes.Clone(table.Smallest.UserKey),
				End:   append(bytes.Clone(table.Largest.UserKey), 0),
			})
		}
	}
	return dirty, nil
}

// markForRewriting makes the next compaction rewrite the tables within the given bounds. A table that
// overlapped nothing was moved to the last level as it was, with its deletions, and a compaction would
// now leave it alone. A deletion of range keys, of which there are none, lays something over it that
// changes no row, whatever is being written at the same time.
func (d *DB) markForRewriting(bounds []pebble.KeyRange) error {
	batch := d.engine.NewBatch()
	for _, b := range bounds {
		if err := batch.RangeKeyDelete(b.Start, b.End, nil); err != nil {
			return err
		}
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return err
	}
	return batch.Close()
}

// rollManifest makes Pebble begin a new manifest, which lists only tables that are there now, and
// deletes the older ones. With MaxManifestFileSize at its least, Pebble rolls once the edits outnumber
// the tables; an edit is had by flushing a deletion of the reserved key.
func (d *DB) rollManifest(ctx context.Context) error {
	before, err := d.manifest()
	if err != nil {
		return err
	}
	current := before
	for current == before {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.engine.Delete(reservedKey, pebble.NoSync); err != nil {
			return err
		}
		if err := d.engine.Flush(); err != nil {
			return err
		}
		if current, err = d.manifest(); err != nil {
			return err
		}
	}
	names, err := d.files.List(d.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		// Names are numbered with leading zeros. A greater one may be a manifest just being written.
		if strings.HasPrefix(name, "MANIFEST-") && lessNumber(name, current) {
			// Pebble keeps the last one for debugging and does not mind if it is gone.
			if err := d.files.Remove(d.files.PathJoin(d.dir, name)); err != nil && !isGone(err) {
				return err
			}
		}
	}
	return syncDir(d.files, d.dir)
}

func (d *DB) manifest() (string, error) { return atomicfs.ReadMarker(d.files, d.dir, "manifest") }

// lessNumber compares file names that differ in their number only: six digits or more.
func lessNumber(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// awaitGone waits until the old logs and all obsolete tables are deleted, which happens in the
// background.
func (d *DB) awaitGone(ctx context.Context, old []string) error {
	for {
		present, err := d.files.List(d.dir)
		if err != nil {
			return err
		}
		waiting := slices.ContainsFunc(present, func(name string) bool {
			return strings.HasSuffix(name, ".log") && slices.Contains(old, name)
		})
		m := d.engine.Metrics()
		if !waiting && m.Table.ObsoleteCount == 0 && m.Table.ZombieCount == 0 {
			return syncDir(d.files, d.dir)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context) error {
	timer := time.NewTimer(purgePoll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
