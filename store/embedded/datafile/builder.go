package datafile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"
)

// batchSize is about how many sealed bytes are handed over at a time.
const batchSize = 1 << 20

// buffers holds the memory of batches that were written.
var buffers = sync.Pool{New: func() any { return new(make([]byte, 0, batchSize+batchSize/8)) }}

// batch is a number of sealed buckets that follow each other, or the error that ended a unit.
type batch struct {
	data           []byte
	offsets        []int // where in data each bucket begins
	anchors, items uint64
	err            error
}

// errStopped ends a unit whose result nobody wants any more.
var errStopped = errors.New("datafile: stopped")

// builder turns rows in ascending order into sealed buckets.
type builder struct {
	keys    *keys
	data    []byte // associated data of a record: room for the anchor, then the context
	buckets uint64 // of the whole file
	deliver func(batch) error
	done    batch

	// The anchor whose rows are coming in.
	anchor  [AnchorSize]byte
	list    []byte
	last    int // where the list's last payload begins
	pending bool

	// The bucket that is being filled.
	bucket  uint64
	heads   []byte // anchors
	lengths []byte // uvarints
	lists   []byte // sealed
	nonce   [nonceSize]byte
}

// newBuilder makes a builder that hands what it has sealed to deliver, in order.
func (w *Writer) newBuilder(buckets uint64, deliver func(batch) error) *builder {
	return &builder{
		keys:    w.keys,
		data:    append(make([]byte, AnchorSize), w.names.context()...),
		buckets: buckets,
		deliver: deliver,
	}
}

// sendTo delivers into a channel, unless nobody wants it any more.
func sendTo(result chan<- batch, stop <-chan struct{}) func(batch) error {
	return func(done batch) error {
		select {
		case result <- done:
			return nil
		case <-stop:
			return errStopped
		}
	}
}

// add takes the next row.
func (b *builder) add(anchor, payload []byte) error {
	if b.pending && [AnchorSize]byte(anchor) == b.anchor {
		if bytes.Equal(b.list[b.last:], payload) {
			return nil
		}
	} else {
		if b.pending && [nonceSize]byte(anchor) == [nonceSize]byte(b.anchor[:]) {
			return ErrNonce
		}
		if err := b.endAnchor(); err != nil {
			return err
		}
		b.anchor, b.pending = [AnchorSize]byte(anchor), true
	}
	b.list = appendItem(b.list, payload)
	b.last = len(b.list) - len(payload)
	b.done.items++
	if len(b.list) > MaxList {
		return ErrTooLarge
	}
	return nil
}

// endAnchor seals the list that is complete and puts it into its bucket.
func (b *builder) endAnchor() error {
	if !b.pending {
		return nil
	}
	number := bucketOf(binary.BigEndian.Uint64(b.anchor[:]), b.buckets)
	if err := b.endBuckets(number); err != nil {
		return err
	}
	copy(b.data, b.anchor[:])
	b.heads = append(b.heads, b.anchor[:]...)
	b.lengths = binary.AppendUvarint(b.lengths, uint64(len(b.list)))
	b.lists = b.keys.records.Seal(b.lists, b.anchor[:nonceSize], b.list, b.data)
	b.list, b.pending = b.list[:0], false
	b.done.anchors++
	return nil
}

// endBuckets completes buckets, full or empty, until number is the one being filled.
func (b *builder) endBuckets(number uint64) error {
	for ; b.bucket < number; b.bucket++ {
		if b.done.data == nil {
			b.done.data = (*buffers.Get().(*[]byte))[:0]
		}
		start := len(b.done.data)
		b.done.offsets = append(b.done.offsets, start)
		data := binary.AppendUvarint(b.done.data, uint64(len(b.heads)/AnchorSize))
		data = append(append(data, b.heads...), b.lengths...)
		data = b.keys.buckets.Seal(data, bucketNonce(&b.nonce, b.bucket), nil, data[start:])
		b.done.data = append(data, b.lists...)
		b.heads, b.lengths, b.lists = b.heads[:0], b.lengths[:0], b.lists[:0]
		if len(b.done.data) >= batchSize {
			if err := b.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *builder) flush() error {
	done := b.done
	b.done = batch{}
	return b.deliver(done)
}

// finish completes the unit, whose last bucket is the one before end.
func (b *builder) finish(end uint64) error {
	if err := b.endAnchor(); err != nil {
		return err
	}
	if err := b.endBuckets(end); err != nil {
		return err
	}
	return b.flush()
}
