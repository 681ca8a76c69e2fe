package embedded

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/heyan-project/heyan/store/embedded/datafile"
	"github.com/heyan-project/heyan/store/embedded/sealed"
	"github.com/heyan-project/heyan/verifier/product"
)

const (
	dataDir       = "data"    // one file a generation
	deletedDir    = "deleted" // a database of tombstones
	dataSuffix    = ".hydata"
	deletedMemory = 1 << 20
)

// registry is the generations that are there, and the records deleted from them.
type registry struct {
	store *Store
	dir   string
	key   []byte
	db    *sealed.DB

	sync.RWMutex // guards the two maps
	generations  map[generationKey]*generation
	importing    map[generationKey]*importer

	deleting  sync.Mutex // one deletion, drop or swap of files at a time; guards the map
	forgotten map[generationKey]forgotten

	compacting chan struct{} // holds one token, for the one compaction at a time
	closeFirst bool          // an open file cannot be replaced here
}

type generationKey struct {
	dataset string
	number  int64
}

// fileName is the same for no two keys, also on file systems that fold letter case.
func (k generationKey) fileName() string {
	name := k.dataset
	if !product.ValidSlug(name) {
		name = "_" + hex.EncodeToString([]byte(name))
	}
	return name + "." + strconv.FormatInt(k.number, 10) + dataSuffix
}

// parseFileName reads what fileName wrote.
func parseFileName(name string) (k generationKey, ok bool) {
	stem, isData := strings.CutSuffix(name, dataSuffix)
	at := strings.LastIndexByte(stem, '.')
	if !isData || at < 0 {
		return k, false
	}
	number, err := strconv.ParseInt(stem[at+1:], 10, 64)
	if err != nil {
		return k, false
	}
	k = generationKey{stem[:at], number}
	if encoded, isHex := strings.CutPrefix(k.dataset, "_"); isHex {
		plain, err := hex.DecodeString(encoded)
		if err != nil {
			return k, false
		}
		k.dataset = string(plain)
	}
	return k, k.fileName() == name
}

// generation is one file. Look-ups hold its lock for reading; whoever drops or exchanges the file takes it for
// writing.
type generation struct {
	sync.RWMutex
	reader  *datafile.Reader
	broken  error // why there is no reader
	deleted deletions
}

func openRegistry(s *Store) (*registry, error) {
	r := &registry{
		store: s, dir: filepath.Join(s.options.Dir, registryName), key: s.options.RegistryKey,
		generations: make(map[generationKey]*generation), importing: make(map[generationKey]*importer),
		forgotten: make(map[generationKey]forgotten), compacting: make(chan struct{}, 1), closeFirst: runtime.GOOS == "windows",
	}
	if err := os.MkdirAll(filepath.Join(r.dir, dataDir), 0o700); err != nil {
		return nil, err
	}
	options := s.sealedOptions(deletedMemory)
	options.MemTableBytes = deletedMemory
	var err error
	if r.db, err = sealed.Open(filepath.Join(r.dir, deletedDir), registryName, r.key, options); err != nil {
		return nil, openError(err)
	}
	s.keep(r.db)
	if err := errors.Join(r.openFiles(), r.loadDeletions()); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// openFiles opens every generation and removes what imports and compactions that did not finish left behind.
func (r *registry) openFiles() error {
	entries, err := os.ReadDir(filepath.Join(r.dir, dataDir))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		key, ok := parseFileName(entry.Name())
		path := filepath.Join(r.dir, dataDir, entry.Name())
		if !ok {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		g := r.openFile(key, path)
		if g.broken != nil {
			r.store.options.Logger.Error("a dataset file cannot be used", "file", path, "cause", g.broken)
		}
		r.generations[key] = g
	}
	return nil
}

// openFile opens one file. A broken one is kept as such: it must not keep the others from serving, and its
// look-ups fail.
func (r *registry) openFile(key generationKey, path string) *generation {
	reader, err := datafile.Open(path, r.key)
	if err != nil {
		return &generation{broken: err}
	}
	header := reader.Header()
	if header.Dataset != key.dataset || header.Generation != strconv.FormatInt(key.number, 10) {
		return &generation{broken: errors.Join(datafile.ErrTampered, reader.Close())}
	}
	return &generation{reader: reader}
}

func (r *registry) path(key generationKey) string {
	return filepath.Join(r.dir, dataDir, key.fileName())
}

// hold returns a generation, locked for reading, or an error.
func (r *registry) hold(key generationKey) (*generation, error) {
	r.RLock()
	defer r.RUnlock()
	g := r.generations[key]
	if g == nil {
		return nil, errNoGeneration
	}
	g.RLock()
	if g.broken != nil {
		defer g.RUnlock()
		return nil, g.broken
	}
	return g, nil
}

var errNoGeneration = errors.New("embedded: the generation is not there")

// drop removes a generation: first its file, then its deletions, for without them the file would show records
// that were deleted.
func (r *registry) drop(key generationKey) error {
	r.deleting.Lock()
	defer r.deleting.Unlock()
	r.Lock()
	g := r.generations[key]
	delete(r.generations, key)
	r.Unlock()
	if g == nil {
		return nil
	}
	g.Lock() // look-ups in flight have ended
	defer g.Unlock()
	if g.reader != nil {
		if err := g.reader.Close(); err != nil {
			return err
		}
	}
	if err := os.Remove(r.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := syncDir(filepath.Join(r.dir, dataDir)); err != nil {
		return err
	}
	if records, since := g.deleted.count(); records > 0 {
		return r.forgetAll(key, since)
	}
	return nil
}

func (r *registry) close() error {
	var errs []error
	for _, g := range r.generations {
		if g.reader != nil {
			errs = append(errs, g.reader.Close())
		}
	}
	for _, i := range r.importing {
		errs = append(errs, i.writer.Abort())
	}
	return errors.Join(append(errs, r.db.Close())...)
}
