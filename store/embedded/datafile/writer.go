package datafile

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
)

// Options of a Writer. The zero value serves.
type Options struct {
	// Memory is how many bytes of rows are held before they are sorted and spilled to a temporary
	// file; 0 means 256 MiB. Less than 16 MiB makes many short runs. Merging them takes about as much
	// again at most, or 4 KiB a run and processor if that is more.
	Memory int
	// Random is where salt and temporary keys are drawn from; nil means crypto/rand.
	Random io.Reader
}

const defaultMemory = 256 << 20

// Info describes a finished file.
type Info struct {
	Rows    uint64 // calls of Add
	Anchors uint64 // distinct anchors
	Items   uint64 // distinct payloads under an anchor, summed over the anchors
	Bytes   int64  // size of the file
}

// Writer makes one file. It is used by one goroutine: Add any number of times, then Finish or Abort.
// Sorting and sealing use all processors.
//
// Rows are kept apart by the first byte of their anchor. Such a part fits a processor's cache when it is
// sorted, and the parts are sealed side by side.
type Writer struct {
	path   string
	header []byte
	names  Header
	keys   *keys
	memory int
	random io.Reader

	parts    [parts]part
	chunks   chunks
	held     int // bytes held in parts
	spilled  *spill
	distinct sketch
	added    uint64
	done     bool
}

// Create begins a file at path, which must not exist. Nothing is there until Finish returns; in the
// same directory temporary files are kept meanwhile, whose payloads are sealed under keys that only
// this Writer knows. key has KeySize bytes.
func Create(path string, header Header, key []byte, options Options) (*Writer, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, &os.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if options.Memory == 0 {
		options.Memory = defaultMemory
	}
	if options.Random == nil {
		options.Random = rand.Reader
	}
	id, err := keyID(key)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, 32)
	if _, err := io.ReadFull(options.Random, salt); err != nil {
		return nil, fmt.Errorf("datafile: draw a salt: %w", err)
	}
	w := &Writer{path: path, names: header, memory: options.Memory, random: options.Random}
	w.chunks.size = min(max(options.Memory/parts/8, minChunk), maxChunk)
	if w.header, err = encodeHeader(header, id, salt); err != nil {
		return nil, err
	}
	if w.keys, err = deriveKeys(key, salt); err != nil {
		return nil, err
	}
	return w, nil
}

// Add adds one payload under anchor, a keyed digest. Rows may come in any order. Payloads of one anchor
// add up to a list; one that is there already is dropped. Neither argument is kept.
//
// After an error, which is ErrTooLarge, ErrClosed, or a failure to spill, Abort.
func (w *Writer) Add(anchor [AnchorSize]byte, payload []byte) error {
	if w.done {
		return ErrClosed
	}
	if len(payload) > MaxPayload {
		return ErrTooLarge
	}
	if w.held >= w.memory {
		if err := w.spillRows(); err != nil {
			return err
		}
	}
	prefix := binary.BigEndian.Uint64(anchor[:])
	w.held += w.parts[prefix>>(64-partBits)].add(prefix, &anchor, payload, &w.chunks)
	w.distinct.add(prefix)
	w.added++
	return nil
}

// spillRows writes the rows in memory to the temporary file as one sorted run.
func (w *Writer) spillRows() error {
	if w.spilled == nil {
		var err error
		if w.spilled, err = newSpill(filepath.Dir(w.path), w.random); err != nil {
			return err
		}
	}
	w.sort()
	if err := w.spilled.run(&w.parts); err != nil {
		return err
	}
	for i := range w.parts {
		w.parts[i].reset(&w.chunks)
	}
	w.held = 0
	return nil
}

// sort sorts all parts, on all processors.
func (w *Writer) sort() {
	var next atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < parts; i = next.Add(1) - 1 {
				w.parts[i].sort()
			}
		})
	}
	group.Wait()
}

// Finish merges what was added, writes the file under a temporary name, makes it durable, reads all of
// it back and compares checksums, and gives it its name. After an error there is no file at path, unless
// the error is that the new name could not be made durable.
//
// ErrNonce means that two anchors agree in 12 bytes: they are not keyed digests.
func (w *Writer) Finish() (info Info, err error) {
	return w.finish(w.distinct.estimate(), w.sealUnits)
}

func (w *Writer) finish(anchors uint64, fill func(units int, buckets uint64, o *output) error) (info Info, err error) {
	if w.done {
		return Info{}, ErrClosed
	}
	defer func() { err = errors.Join(err, w.Abort()) }()
	temporary := w.path + ".new"
	info, err = w.build(temporary, anchors, fill)
	if err == nil {
		err = os.Rename(temporary, w.path)
	}
	if err != nil {
		return Info{}, errors.Join(err, removeIfThere(temporary))
	}
	return info, syncDir(filepath.Dir(w.path))
}

// Abort gives up, or after Finish does nothing. It removes the temporary file.
func (w *Writer) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	w.parts, w.chunks = [parts]part{}, chunks{}
	if w.spilled == nil {
		return nil
	}
	return w.spilled.close()
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be synced there; renaming is journalled
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
