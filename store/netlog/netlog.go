// Package netlog is the network log: durable before a reply leaves, append-only, provable offline.
//
// A [Log] is the writer of one origin in one directory. [Log.Append] takes a record's bytes (package record), gives it
// the next index and returns at once; [Ticket.Wait] returns when the record is durable and under a signed checkpoint.
// One goroutine writes: it takes all that is queued, hashes it into the tree, signs one checkpoint, does one write and
// one flush, and wakes everybody. There is no batch delay: the flush in flight is the timer. A [Reader] reads the
// directory of a stopped or running log without changing anything.
//
// # Guaranteed
//
//   - A record whose Wait returned nil is found again after a crash, at its index, with its bytes. Records become
//     durable in the order of their indexes, and none is skipped.
//   - A write or flush error is final: everybody who waits gets [ErrStopped], and so does every later Append, until a
//     restart has read the files again. So does a commit that takes longer than half of Options.AppendTimeout, a file
//     that was unlinked, replaced or truncated, and a second writer (noticed within a second).
//   - A start cuts a torn tail and says so in [Recovery]; it never cuts damage in front of a later commit, but refuses
//     with a wal.CorruptError that names file and offset.
//   - Every commit has a checkpoint (C2SP tlog-checkpoint) under the origin's Ed25519 key, and every record a proof
//     (C2SP tlog-proof). Files are made with mode 0600, directories with 0700, and record bodies are sealed with
//     AES-256-GCM when there is a seal key.
//   - [Log.RemovePurged] removes the oldest segments, never before six calendar months. [Log.Raise] raises the log's minimum index first,
//     in a record and in a file that the key signed, so that purged, missing and forged are told apart; what is left is
//     whole, and provable against each older checkpoint of which hashes were kept: nine at most, and nothing else of what
//     is gone but tree hashes over 256 records and more.
//   - With Options.Reserve a disk that others fill does not keep the log from its last words, nor from sealing, which
//     makes room (reserve.go). Nothing is ever overwritten to make room.
//
// # Not guaranteed
//
//   - Whoever holds the signing key and the disk can rewrite history back to the last checkpoint that left the machine.
//     Receipts and checkpoints kept elsewhere show that; give them to [Reader.Verify]. Package outside sends them there,
//     and holds a start against them.
//   - Reading the files on disk by root is not noticed.
//   - A Wait that ends with an error says nothing about the record: it may be durable. Only a reply that leaves needs
//     the record; a record whose reply did not leave does no harm.
//   - Damage to the last batch after its flush looks like a torn tail. [Recovery.Committed] then names the size it had.
//   - Closed files are not read at every start; [Reader.Verify] reads all.
//
// Read next: append.go for the commit point, purge.go for the end of records, package wal for the files, package tree for the proofs.
package netlog

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/heyan-project/heyan/store/netlog/atrest"
	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/segment"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

var (
	// ErrNoLog means that the directory holds no log. A log is never begun silently in place of a missing one.
	ErrNoLog = errors.New("netlog: no log in this directory")
	// ErrExists means that a log cannot be begun in a directory that is not empty.
	ErrExists = errors.New("netlog: directory is not empty")
	// ErrKey means that the signing key is not the one the origin was born with.
	ErrKey = errors.New("netlog: signing key is not this log's")
	// ErrStopped means that the log takes no more records until a restart. The error that matches it also matches the
	// cause.
	ErrStopped = errors.New("netlog: stopped")
	// ErrTimeout is the cause when a commit took too long.
	ErrTimeout = errors.New("netlog: disk did not answer in time")
	// ErrSecondWriter is the cause when a file's size is not what this writer made it.
	ErrSecondWriter = errors.New("netlog: file was changed by somebody else")
	// ErrBusy means that too many records wait already. It is an error of this call only.
	ErrBusy = errors.New("netlog: too many records wait")
	// ErrClosed means that the log was closed.
	ErrClosed = errors.New("netlog: closed")
	// ErrTooLarge is an empty record, or one above record.MaxSize.
	ErrTooLarge = errors.New("netlog: record is empty or too large")
	// ErrNotFound is an index that the log does not hold, or not yet.
	ErrNotFound = errors.New("netlog: no such record")
	// ErrPurged is a record that the log held until its time was over, or a hash that went with such records.
	ErrPurged = errors.New("netlog: purged")
)

// Options says where a log is and how it is kept. Dir, Now and SigningKey are required.
type Options struct {
	// Dir is the log's own directory. Nothing else may be in it.
	Dir string
	// Node is the node's name: lower-case letters, digits, dot and hyphen, at most 64. [Create] needs it; [Open]
	// refuses an origin of another node when it is set.
	Node string
	// Now is the clock.
	Now func() time.Time
	// Rand is the source of randomness; nil is crypto/rand.
	Rand io.Reader
	// SigningKey signs checkpoints. It belongs outside Dir.
	SigningKey ed25519.PrivateKey
	// SealKey, 32 bytes, seals records at rest; empty leaves them in clear. It belongs outside Dir. A log that was
	// sealed once does not open without.
	SealKey []byte
	// FS is what changes the disk; nil is the operating system.
	FS disk.FS
	// FileSize is where a write-ahead file is closed and the next begun, in bytes; zero is 64 MiB.
	FileSize int64
	// SegmentRecords is how many records a full segment holds, a multiple of 256; zero is 1,048,576. A day's rest makes a
	// smaller one.
	SegmentRecords int
	// Reserve is how many bytes of room the log keeps for sealing on a full disk; with any, it also takes the room of the
	// live file and of the next one ahead, on systems that can (Linux). Zero takes none.
	Reserve int64
	// Region is where the log is kept, as manifests state it; empty leaves it out.
	Region string
	// AppendTimeout bounds how long an append can wait for the disk; zero is 5 s.
	AppendTimeout time.Duration
	// MaxQueue is how many records may wait for the next commit; zero is 16384.
	MaxQueue int
	// Warn is told of trouble that no caller sees: why the log stopped, or a sidecar that could not be written. It
	// MUST not block. Nil drops it.
	Warn func(error)
	// Flushed is told of each commit: how many records it made durable, and how long write and flush took. It MUST be
	// quick. Nil drops it.
	Flushed func(records int, took time.Duration)
	// Admit is asked by [Open] when the log was read and before anything of it is changed; an error refuses to open it.
	// The Reader MUST not be used after it returned. Nil admits every log. Package outside asks checkpoints kept
	// elsewhere.
	Admit func(*Reader) error
	// Predecessor is, for [Create], the last known checkpoint of the origin that the new one follows; zero is none.
	Predecessor tree.Checkpoint
}

const (
	defaultFileSize = 64 << 20
	defaultTimeout  = 5 * time.Second
	defaultQueue    = 16384
	defaultSegment  = 1 << 20
	// maxQueueBytes bounds one batch, and with it the memory of a slow disk's queue.
	maxQueueBytes = 32 << 20
	// keepBytes is how large a batch's buffer may be to be used again.
	keepBytes = 4 << 20
	// maxFileRecords bounds the memory of the live file's tree: 64 bytes a record.
	maxFileRecords = 1 << 18
)

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" || o.Now == nil || len(o.SigningKey) != ed25519.PrivateKeySize {
		return o, errors.New("netlog: Dir, Now and SigningKey are required")
	}
	if n := len(o.SealKey); n != 0 && n != atrest.KeySize {
		return o, fmt.Errorf("netlog: seal key has %d bytes, want %d", n, atrest.KeySize)
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.FS == nil {
		o.FS = disk.OS()
	}
	if o.FileSize <= 0 {
		o.FileSize = defaultFileSize
	}
	if o.AppendTimeout <= 0 {
		o.AppendTimeout = defaultTimeout
	}
	if o.MaxQueue <= 0 {
		o.MaxQueue = defaultQueue
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	if o.SegmentRecords <= 0 {
		o.SegmentRecords = defaultSegment
	}
	if n := o.SegmentRecords; n%segment.FrameRecords != 0 || n/segment.FrameRecords > segment.MaxFrames {
		return o, fmt.Errorf("netlog: a segment of %d records cannot be; whole frames of %d can", n, segment.FrameRecords)
	}
	if o.Admit == nil {
		o.Admit = func(*Reader) error { return nil }
	}
	if o.Flushed == nil {
		o.Flushed = func(int, time.Duration) {}
	}
	return o, nil
}

// Recovery is what [Open] found. CutBytes is zero after a clean stop, and after a crash between two commits.
type Recovery struct {
	Origin   string
	Size     uint64 // records that are there
	File     string // with the torn tail
	Offset   int64  // where it was cut
	CutBytes int64
	// Committed is the tree size that a commit among the cut bytes named, or zero. It was being written when the
	// machine stopped, and nobody was answered; or it was damaged later, and then a receipt from it will not verify.
	Committed uint64
	// Purged is what was removed below the minimum index: a purge had been cut short.
	Purged record.Purge
}
