package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/embedded/sealed"
)

// formatVersion is the version of the directory: its parts, and the rows of keys.go. An older release must not
// open a newer directory.
const formatVersion = 1

const (
	formatName   = "FORMAT" // also the name of the mark in each database
	formatPrefix = "heyan embedded store "
	lockName     = "LOCK"
	subjectName  = "subject"
	businessName = "business"
	registryName = "registry"
)

// Errors of Create and Open, beside store.ErrNewerFormat.
var (
	// ErrNoStore: the directory holds no store. Nothing is begun anew silently: a missing disk would look so.
	ErrNoStore = errors.New("embedded: no store here; create one first")
	// ErrExists: the directory holds something already.
	ErrExists = errors.New("embedded: the directory is not empty")
	// ErrWrongKey: one of the keys is not the one that the store was created with.
	ErrWrongKey = errors.New("embedded: sealed under another key")
	// ErrKeys: a key has another length, or two of them are equal.
	ErrKeys = errors.New("embedded: three different keys of 32 bytes are needed")
)

// Create makes a store in options.Dir, which is empty or absent, and closes it again. A store whose creation was
// cut short can be created again.
func Create(options Options) error {
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(options.Dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		switch entry.Name() {
		case lockName, subjectName, businessName, registryName, formatName + ".new":
		default:
			return fmt.Errorf("%w: %s", ErrExists, options.Dir)
		}
	}
	s, err := open(options, func(string) error { return nil })
	if err != nil {
		return err
	}
	// The mark comes last: with it the store is there.
	return errors.Join(writeFormat(options.Dir), s.Close(), syncDir(filepath.Dir(options.Dir)))
}

// Open opens a store that Create made, and repairs what a crash left half done before it returns.
//
// Errors: ErrNoStore, ErrWrongKey, ErrKeys, store.ErrNewerFormat, and those of the file system. A directory
// that is open already, in this process or another, is refused.
func Open(options Options) (*Store, error) {
	text, err := os.ReadFile(filepath.Join(options.Dir, formatName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoStore, options.Dir)
	}
	if err != nil {
		return nil, err
	}
	number, isFormat := strings.CutPrefix(strings.TrimSuffix(string(text), "\n"), formatPrefix)
	version, err := strconv.Atoi(number)
	switch {
	case !isFormat || err != nil || version < 1:
		return nil, fmt.Errorf("%w: %s names no format", ErrNoStore, filepath.Join(options.Dir, formatName))
	case version > formatVersion:
		return nil, store.ErrNewerFormat
	}
	return open(options, options.present)
}

// present refuses a database that is gone: an empty one in its place would make every row of the other half.
func (o *Options) present(dir string) error {
	base := o.base
	if base == nil {
		base = vfs.Default
	}
	if _, err := base.Stat(base.PathJoin(dir, formatName)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is gone", ErrNoStore, dir)
	} else if err != nil {
		return err
	}
	return nil
}

// open opens the parts, each after check has looked at its directory.
func open(options Options, check func(dir string) error) (*Store, error) {
	if err := options.complete(); err != nil {
		return nil, err
	}
	for _, name := range []string{businessName, subjectName, filepath.Join(registryName, deletedDir)} {
		if err := check(filepath.Join(options.Dir, name)); err != nil {
			return nil, err
		}
	}
	lock, err := vfs.Default.Lock(filepath.Join(options.Dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("embedded: the data directory is open in another process, such as a server that runs: %w", err)
	}
	s := &Store{options: options, lock: lock}
	if err := os.Chmod(filepath.Join(options.Dir, lockName), 0o600); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.gate.open()
	s.claims.open()
	if err := s.openParts(); err != nil {
		return nil, errors.Join(err, s.release())
	}
	s.checkpoints.start(s)
	if err := s.watch.start(s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) openParts() (err error) {
	o := &s.options
	if s.business, err = s.openDB(businessName, o.BusinessKey, o.CacheBytes/2); err != nil {
		return err
	}
	if s.subject, err = s.openDB(subjectName, o.SubjectKey, o.CacheBytes/2); err != nil {
		return err
	}
	if s.datasets, err = openRegistry(s); err != nil {
		return err
	}
	s.totals.open(s.business)
	if s.restrictions, err = loadRestrictions(s.subject); err != nil {
		return err
	}
	return s.recover()
}

func (s *Store) openDB(name string, key []byte, cache int64) (*sealed.DB, error) {
	db, err := sealed.Open(filepath.Join(s.options.Dir, name), name, key, s.sealedOptions(cache))
	if err == nil {
		s.keep(db)
	}
	return db, openError(err)
}

// keep notes a database that is open.
func (s *Store) keep(db *sealed.DB) {
	s.partsMu.Lock()
	defer s.partsMu.Unlock()
	s.parts = append(s.parts, db)
}

// halt stops the store and all its databases: none writes any more, also not when it is closed.
func (s *Store) halt(cause error) {
	s.gate.fail(cause)
	s.partsMu.Lock()
	defer s.partsMu.Unlock()
	for _, db := range s.parts {
		go db.Stop(cause.Error()) // which comes back here from the one that has not stopped yet
	}
}

// Stopped returns a channel that is closed when the store cannot be used any more, for whatever reason.
func (s *Store) Stopped() <-chan struct{} { return s.gate.shut }

func (s *Store) sealedOptions(cache int64) sealed.Options {
	return sealed.Options{Base: s.options.base, CacheBytes: cache, Log: s.options.Logger, Stop: func(reason string) {
		s.halt(fmt.Errorf("%w: %s", errHalted, reason))
	}}
}

// openError translates what the parts say about a directory.
func openError(err error) error {
	switch {
	case errors.Is(err, sealed.ErrNewerFormat):
		return errors.Join(store.ErrNewerFormat, err)
	case errors.Is(err, sealed.ErrWrongKey):
		return errors.Join(ErrWrongKey, err)
	}
	return err
}

// complete checks the options and fills in what may be left out.
func (o *Options) complete() error {
	keys := map[string]bool{}
	for _, key := range [][]byte{o.SubjectKey, o.BusinessKey, o.RegistryKey} {
		if len(key) == KeySize {
			keys[string(key)] = true
		}
	}
	if len(keys) != 3 {
		return ErrKeys
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Committed == nil {
		o.Committed = func(time.Duration) {}
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 128 << 20
	}
	return nil
}

// writeFormat marks the directory, whole or not at all.
func writeFormat(dir string) error {
	temporary := filepath.Join(dir, formatName+".new")
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s%d\n", formatPrefix, formatVersion)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, formatName)); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	opened, err := vfs.Default.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}
