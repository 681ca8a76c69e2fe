package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/heyan-project/heyan/store/embedded/row"
)

// engineFormat pins Pebble's format: with synced offsets in the log, which tell a damaged log from one
// that a crash cut short, and checksummed table footers. Raising it is a step without return for a
// directory, so it is taken by a release, never by a dependency update.
const engineFormat = pebble.FormatTableFormatV6

const (
	defaultCache    = 64 << 20
	defaultMemTable = 16 << 20
	bloomBits       = 10 // a bit less than 1 % false positives
	blockSize       = 8 << 10
	indexBlockSize  = 256 << 10
	tableSize       = 32 << 20
	slowDisk        = 5 * time.Second
	// Without a descriptor of the file Pebble cannot ask for a piece to be written back and flushes
	// the whole file instead, so that is done rarely.
	tableBytesPerSync = 8 << 20
	maxOpenFiles      = 1000
	parallelWork      = 2 // compactions at a time, so that one long one does not hold up level 0
	stalledMemTables  = 4 // memory tables waiting to be flushed before writers must wait
)

// Options of a database. The zero value serves.
type Options struct {
	// Base is where the sealed files are kept; nil means the operating system's file system.
	Base vfs.FS
	// CacheBytes bounds the cache of decrypted blocks, which holds filters and indexes too;
	// 0 means 64 MiB.
	CacheBytes int64
	// MemTableBytes is the size at which the table in memory is written out; 0 means 16 MiB. Up to
	// four of them may exist.
	MemTableBytes uint64
	// Random is where salts are drawn from; nil means crypto/rand.
	Random io.Reader
	// Log takes what an operator must know; nil means slog.Default. It never sees keys or values.
	Log *slog.Logger
	// Stop is called at most once, when what is on the disk is no longer known; the reason holds no
	// key and no value. It should end the process. Nil means a panic that nobody can recover.
	Stop func(reason string)
}

// DB is one open database. It is safe for concurrent use. Keys are ordered as bytes, are not empty and
// not the single byte 0, and do not begin with 256 bytes 0xff.
//
// Every method may fail with [ErrStopped]; those that read, with [ErrTampered]. Using a DB after Close,
// or closing it before its iterators and batches, panics.
type DB struct {
	dir    string
	files  *FS
	engine *pebble.DB
	rows   *row.Rows
	watch  *watch
	lock   *pebble.Lock
	health io.Closer

	recent    recent
	closed    chan struct{}
	turning   sync.WaitGroup // goroutines that wait for a generation to be flushed
	abandoned bool           // while it was opened: Pebble goes on without anybody
}

// Open opens the store called name in dir, and creates it if dir is empty or absent. storeKey has
// KeySize bytes and belongs to this store alone.
//
// Errors: [ErrWrongKey], [ErrNewerFormat], [ErrNotSealed] (dir holds something else, or another
// store), [ErrTampered]; anything else is the file system's.
func Open(dir, name string, storeKey []byte, options Options) (*DB, error) {
	if name == "" || strings.ContainsAny(name, "\n") {
		return nil, errors.New("sealed: a store needs a name of one line")
	}
	if options.Base == nil {
		options.Base = vfs.Default
	}
	if options.Log == nil {
		options.Log = slog.Default()
	}
	files, err := NewFS(options.Base, storeKey, options.Random)
	if err != nil {
		return nil, err
	}
	rows, err := row.New(storeKey, name)
	if err != nil {
		return nil, err
	}
	if err := files.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("sealed: create the directory: %w", err)
	}
	lock, err := pebble.LockDirectory(dir, files)
	if err != nil {
		return nil, fmt.Errorf("sealed: lock the directory, which one process may have open at a time: %w", err)
	}
	db := &DB{dir: dir, files: files, rows: rows, lock: lock, closed: make(chan struct{})}
	db.recent.open()
	db.watch = &watch{log: options.Log, store: name, stop: options.Stop}
	if err := db.start(name, options); err != nil {
		return nil, errors.Join(err, db.release())
	}
	return db, nil
}

// start opens the engine in the directory that db has locked.
func (d *DB) start(name string, options Options) error {
	if err := checkFormat(d.files, d.dir, name); err != nil {
		return fmt.Errorf("sealed: open the store in %s: %w", d.dir, err)
	}
	var watched vfs.FS
	watched, d.health = vfs.WithDiskHealthChecks(d.files, slowDisk, nil, d.watch.slow)
	// On a full disk Pebble tries again for ever, here and in Flush. Whatever goes wrong behind its back now ends the
	// start, and with it the process: what Pebble still does cannot be ended.
	trouble, opened := make(chan error, 1), make(chan error, 1)
	d.watch.opening.Store(&trouble)
	defer d.watch.opening.Store(nil)
	go func() { opened <- d.openEngine(watched, options) }()
	select {
	case err := <-opened:
		return err
	case err := <-trouble:
		d.abandoned = true
		return fail("open the store in "+d.dir, err)
	}
}

func (d *DB) openEngine(watched vfs.FS, options Options) error {
	engine, err := pebble.Open(d.dir, d.engineOptions(watched, options))
	if err != nil {
		return fail("open the store in "+d.dir, err)
	}
	d.engine = engine
	// The first log of a new database precedes its format and has no synced offsets: roll it.
	if err := engine.Flush(); err != nil {
		return errors.Join(fail("open the store in "+d.dir, err), engine.Close())
	}
	return nil
}

func (d *DB) engineOptions(files vfs.FS, options Options) *pebble.Options {
	engine := &pebble.Options{
		FS:                          files,
		Lock:                        d.lock,
		FormatMajorVersion:          engineFormat,
		CacheSize:                   options.CacheBytes,
		MemTableSize:                options.MemTableBytes,
		MemTableStopWritesThreshold: stalledMemTables,
		MaxOpenFiles:                maxOpenFiles,
		BytesPerSync:                tableBytesPerSync,
		CompactionConcurrencyRange:  func() (int, int) { return 1, parallelWork },
		Cleaner:                     deleteAll{},
		Logger:                      d.watch,
		EventListener:               d.watch.listener(),
		// A manifest names the first and last key of every table: a small one is rolled soon.
		MaxManifestFileSize: 1,
	}
	if engine.CacheSize == 0 {
		engine.CacheSize = defaultCache
	}
	if engine.MemTableSize == 0 {
		engine.MemTableSize = defaultMemTable
	}
	// Pebble takes what its memory tables may grow to out of the cache. Put on top of it here, it leaves the
	// filters and indexes of absent keys in memory, where a look-up needs them.
	engine.CacheSize += stalledMemTables * int64(engine.MemTableSize)
	for i := range engine.Levels {
		level := &engine.Levels[i]
		level.FilterPolicy = bloom.FilterPolicy(bloomBits)
		// Few, large tables with one index block each: a look-up touches less of them, and fewer are opened.
		level.BlockSize, level.IndexBlockSize = blockSize, indexBlockSize
		engine.TargetFileSizes[i] = tableSize
	}
	return engine
}

// deleteAll deletes obsolete files at once: Clean and String are those of DeleteCleaner, which is less
// deep than the ArchiveCleaner below.
type deleteAll struct {
	pebble.DeleteCleaner
	reuseNothing
}

// reuseNothing has ArchiveCleaner's unexported mark of one who needs the contents of obsolete files.
// By it Pebble knows that obsolete logs must not be kept for reuse: a kept log keeps deleted keys.
type reuseNothing struct{ pebble.ArchiveCleaner }

// Close writes what is only in memory and in the log into tables, so that the next Open has nothing to
// replay, and releases the directory.
func (d *DB) Close() error {
	close(d.closed)
	d.turning.Wait()
	var err error
	if !d.watch.stopped.Load() {
		err = d.engine.Flush()
	}
	return errors.Join(fail("close", err), fail("close", d.engine.Close()), d.release())
}

func (d *DB) release() error {
	if d.abandoned {
		return nil // Pebble still has the directory
	}
	var err error
	if d.health != nil {
		err = d.health.Close()
	}
	return errors.Join(err, d.lock.Close())
}

// Get appends the value of key to dst. found is false if there is none.
func (d *DB) Get(dst, key []byte) (value []byte, found bool, err error) {
	mustHaveKey(key)
	if d.watch.stopped.Load() {
		return dst, false, ErrStopped
	}
	// An iterator asks the filters of the last level too, which Pebble's own Get leaves out: an absent
	// key is answered from memory (10 bits a row) but for one time in a hundred.
	iter, err := d.engine.NewIter(&pebble.IterOptions{UseL6Filters: true, OnlyReadGuaranteedDurable: !d.recent.has(key)})
	if err != nil {
		return dst, false, fail("read", err)
	}
	value = dst
	if iter.SeekPrefixGE(key) && bytes.Equal(iter.Key(), key) {
		var stored, opened []byte
		if stored, err = iter.ValueAndErr(); err == nil {
			if opened, err = d.rows.Open(key, stored); err == nil {
				value, found = append(dst, opened...), true
			}
		}
	}
	if err = errors.Join(err, iter.Close()); err != nil {
		return dst, false, fail("read", err)
	}
	return value, found, nil
}

// turn begins a generation of recent keys.
func (d *DB) turn() {
	flushed := d.recent.turn(d.engine.AsyncFlush)
	if flushed == nil {
		return
	}
	d.turning.Go(func() {
		select {
		case <-flushed:
			d.recent.flushed()
		case <-d.closed:
		}
	})
}

// Stop marks the database stopped, as a failure does: every later call fails with [ErrStopped], and Close writes nothing.
func (d *DB) Stop(reason string) { d.watch.halt(reason) }

// Flush writes what is only in memory and in the log into tables, and returns when they are durable.
func (d *DB) Flush() error {
	if d.watch.stopped.Load() {
		return ErrStopped
	}
	return fail("flush", d.engine.Flush())
}

// Metrics returns Pebble's counters: sizes and numbers, no keys.
func (d *DB) Metrics() *pebble.Metrics { return d.engine.Metrics() }
