// Package disktest is a file system for tests that records every change, lets a test refuse, shorten or delay each,
// and builds the states in which a crash could have left the disk.
//
// The model of a crash: what was flushed is there. Of what was written to a file since its last flush, the first part or
// the last part may be missing: then what was there before stands there, or zeros, or the file is shorter. Of the names
// changed since the directory's last flush, any number of the latest may be undone.
package disktest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/heyan-project/heyan/store/netlog/disk"
)

// Kind is what an operation does.
type Kind int

// The kinds of operation.
const (
	Create Kind = iota + 1
	Open
	Write
	Sync
	Truncate
	Rename
	Remove
	SyncDir
	Allocate
)

// Op is one operation on the disk.
type Op struct {
	Kind Kind
	Name string // of the file or directory, as the caller named it
	To   string // Rename
	Data []byte // Write
	At   int64  // Write: the offset; Truncate, Allocate: the size
}

// Short is an error that a hook returns to let the first N bytes of a Write through.
type Short struct{ N int }

func (s Short) Error() string { return fmt.Sprintf("disktest: short write of %d bytes", s.N) }

// FS records what goes to the file system below it.
type FS struct {
	under disk.FS

	mu   sync.Mutex
	ops  []Op
	hook func(Op) error
}

// New returns a recorder over the operating system's file system.
func New() *FS { return &FS{under: disk.OS()} }

// Hook sets a function that sees each operation before it is done. An error it returns is the operation's error, and
// the operation is not done, but for [Short]. It may block.
func (f *FS) Hook(hook func(Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// Len returns the number of operations so far.
func (f *FS) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ops)
}

// Ops returns the operations so far.
func (f *FS) Ops() []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ops)
}

func (f *FS) do(op Op, act func() error) error {
	f.mu.Lock()
	hook := f.hook
	f.mu.Unlock()
	if hook != nil {
		if err := hook(op); err != nil {
			return err
		}
	}
	if err := act(); err != nil {
		return err
	}
	f.mu.Lock()
	f.ops = append(f.ops, op)
	f.mu.Unlock()
	return nil
}

type file struct {
	fs    *FS
	under disk.File
	name  string
}

// OpenFile is [disk.FS].
func (f *FS) OpenFile(name string, create bool) (disk.File, error) {
	op := Op{Kind: Open, Name: name}
	if create {
		op.Kind = Create
	}
	var under disk.File
	err := f.do(op, func() (err error) {
		under, err = f.under.OpenFile(name, create)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &file{f, under, name}, nil
}

// Rename is [disk.FS].
func (f *FS) Rename(from, to string) error {
	return f.do(Op{Kind: Rename, Name: from, To: to}, func() error { return f.under.Rename(from, to) })
}

// Remove is [disk.FS].
func (f *FS) Remove(name string) error {
	return f.do(Op{Kind: Remove, Name: name}, func() error { return f.under.Remove(name) })
}

// SyncDir is [disk.FS].
func (f *FS) SyncDir(dir string) error {
	return f.do(Op{Kind: SyncDir, Name: dir}, func() error { return f.under.SyncDir(dir) })
}

func (f *file) WriteAt(b []byte, at int64) (int, error) {
	op := Op{Kind: Write, Name: f.name, Data: slices.Clone(b), At: at}
	err := f.fs.do(op, func() error { _, err := f.under.WriteAt(b, at); return err })
	if short, ok := err.(Short); ok {
		n, _ := f.under.WriteAt(b[:min(short.N, len(b))], at)
		return n, io.ErrShortWrite
	}
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *file) Sync() error {
	return f.fs.do(Op{Kind: Sync, Name: f.name}, f.under.Sync)
}

func (f *file) Truncate(size int64) error {
	return f.fs.do(Op{Kind: Truncate, Name: f.name, At: size}, func() error { return f.under.Truncate(size) })
}

// Allocate is [disk.Allocator]. Whether the room is there after a crash shows in nothing that can be read.
func (f *file) Allocate(size int64) (ok bool, err error) {
	err = f.fs.do(Op{Kind: Allocate, Name: f.name, At: size}, func() error { ok, err = disk.Allocate(f.under, size); return err })
	return ok && err == nil, err
}

func (f *file) Close() error { return f.under.Close() }

// Image is a state of the disk: contents by name.
type Image map[string][]byte

// Restore writes the image into dir, taking names relative to root.
func (i Image) Restore(root, dir string) error {
	for name, content := range i {
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, rel)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Sum names the image's content: images with the same sum are the same state.
func (i Image) Sum() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(i)) {
		fmt.Fprintf(h, "%q %d ", name, len(i[name]))
		h.Write(i[name])
	}
	h.Sum(sum[:0])
	return sum
}

// node is a file's content: what is durable, and what was written since, to the bytes [from, to).
type node struct {
	durable  []byte
	volatile []byte
	from, to int
}

func (n *node) write(at int, b []byte) {
	if n.from == n.to {
		n.from, n.to = at, at
	}
	n.from = min(n.from, at)
	// Zeros at the end only make the file longer; tearing them shows nothing that the cut before them does not.
	n.to = max(n.to, at+len(bytes.TrimRight(b, "\x00")))
	grown := slices.Clone(n.volatile)
	if end := at + len(b); end > len(grown) {
		grown = append(grown, make([]byte, end-len(grown))...)
	}
	copy(grown[at:], b)
	n.volatile = grown
}

func (n *node) sync() {
	n.durable, n.from, n.to = n.volatile, 0, 0
}

// torn returns what may be found when only the first, or only the last part of what was written is there.
func (n *node) torn(cut int) [][]byte {
	before := make([]byte, max(len(n.durable), len(n.volatile)))
	copy(before, n.durable)
	first := append(slices.Clone(n.volatile[:cut]), n.durable[min(cut, len(n.durable)):]...)
	longer := append(slices.Clone(n.volatile[:cut]), before[cut:]...)
	last := append(slices.Clone(before[:cut]), n.volatile[cut:]...)
	return [][]byte{first, longer, last}
}

type nameOp struct {
	dir  string
	name string
	node *node // nil: removed
}

// Crash yields the states in which the disk may be found after a crash that follows the given operations. tears is how
// many places inside unflushed data are tried, evenly spread; zero means every byte.
func Crash(ops []Op, tears int) iter.Seq[Image] {
	current, durable := map[string]*node{}, map[string]*node{}
	var pending []nameOp
	change := func(name string, n *node) {
		pending = append(pending, nameOp{filepath.Dir(name), name, n})
		if n == nil {
			delete(current, name)
		} else {
			current[name] = n
		}
	}
	// A handle follows its file through a rename, as file handles do.
	handles := map[string]*node{}
	for _, op := range ops {
		switch op.Kind {
		case Create:
			n := &node{}
			handles[op.Name] = n
			change(op.Name, n)
		case Open:
			handles[op.Name] = current[op.Name]
		case Write:
			handles[op.Name].write(int(op.At), op.Data)
		case Truncate:
			handles[op.Name].volatile = slices.Clone(handles[op.Name].volatile[:op.At])
		case Sync:
			handles[op.Name].sync()
		case Rename:
			n := current[op.Name]
			change(op.Name, nil)
			change(op.To, n)
		case Remove:
			change(op.Name, nil)
		case SyncDir:
			pending = slices.DeleteFunc(pending, func(p nameOp) bool {
				if p.dir != op.Name {
					return false
				}
				apply(durable, p)
				return true
			})
		}
	}
	return func(yield func(Image) bool) {
		for kept := 0; kept <= len(pending); kept++ {
			names := maps.Clone(durable)
			for _, p := range pending[:kept] {
				apply(names, p)
			}
			if !yieldContents(names, tears, yield) {
				return
			}
		}
	}
}

func apply(names map[string]*node, p nameOp) {
	if p.node == nil {
		delete(names, p.name)
	} else {
		names[p.name] = p.node
	}
}

// yieldContents yields the states of the contents under one state of the names: all written data there, none of the
// unflushed data there, and for each file with unflushed data its torn forms.
func yieldContents(names map[string]*node, tears int, yield func(Image) bool) bool {
	image := func(torn string, content []byte) Image {
		i := Image{}
		for name, n := range names {
			i[name] = n.volatile
			if name == torn {
				i[name] = content
			}
		}
		return i
	}
	if !yield(image("", nil)) {
		return false
	}
	for name, n := range names {
		if slices.Equal(n.durable, n.volatile) {
			continue
		}
		if !yield(image(name, n.durable)) {
			return false
		}
		step := 1
		if size := n.to - n.from; tears > 0 && size > tears {
			step = size / tears
		}
		for cut := n.from + step; cut < min(n.to, len(n.volatile)); cut += step {
			for _, content := range n.torn(cut) {
				if !yield(image(name, content)) {
					return false
				}
			}
		}
	}
	return true
}
