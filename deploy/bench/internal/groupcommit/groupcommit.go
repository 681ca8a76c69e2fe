// Package groupcommit is the bare minimum that makes an append durable before a reply, and nothing else: what a log is
// measured against.
//
// One goroutine takes everything that is queued, writes it with one write and flushes it with one fdatasync, and then
// wakes all who wait; there is no linger. No tree, no signature, no checksum, no recovery, no file rotation: after a
// crash nobody could tell where the last whole record ends.
package groupcommit

import (
	"path/filepath"
	"sync"

	"github.com/heyan-project/heyan/store/netlog/disk"
)

// Appender appends to one file. It is safe for concurrent use.
type Appender struct {
	file disk.File
	size int64
	wake chan struct{}
	end  chan struct{}

	mu     sync.Mutex
	queue  []byte
	spare  []byte
	filled *batch
}

// batch is what one flush makes durable.
type batch struct {
	done chan struct{}
	err  error // set before done is closed
}

// Open makes the file "appended" in dir.
func Open(dir string) (*Appender, error) {
	file, err := disk.OS().OpenFile(filepath.Join(dir, "appended"), true)
	if err != nil {
		return nil, err
	}
	a := &Appender{file: file, wake: make(chan struct{}, 1), end: make(chan struct{}), filled: newBatch()}
	go a.write()
	return a, nil
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// Append returns when record is durable.
func (a *Appender) Append(record []byte) error {
	a.mu.Lock()
	first := len(a.queue) == 0
	a.queue = append(a.queue, record...)
	b := a.filled
	a.mu.Unlock()
	if first {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
	<-b.done
	return b.err
}

func (a *Appender) write() {
	defer close(a.end)
	for range a.wake {
		a.mu.Lock()
		queue, b := a.queue, a.filled
		a.queue, a.filled = a.spare[:0], newBatch()
		a.mu.Unlock()
		if _, b.err = a.file.WriteAt(queue, a.size); b.err == nil {
			b.err = a.file.Sync()
		}
		a.size += int64(len(queue))
		a.spare = queue
		close(b.done)
	}
}

// Close ends the writer, once nobody appends any more.
func (a *Appender) Close() error {
	close(a.wake)
	<-a.end
	return a.file.Close()
}
