package datafile

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

// build writes a whole file of about that many anchors to path and makes it durable. fill writes the buckets, in
// order, and may do so in units of which no bucket reaches over the border.
func (w *Writer) build(path string, anchors uint64, fill func(units int, buckets uint64, o *output) error) (info Info, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return Info{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	buckets := max(1, (anchors+perBucket-1)/perBucket)
	units := 1
	if buckets >= parts {
		// So that no bucket reaches over the border of two parts, and each part is a unit of work.
		buckets = (buckets + parts - 1) / parts * parts
		units = parts
	}
	o := &output{file: file, sum: sha256.New(), confirm: newConfirmer(file)}
	o.index = make([]uint64, 0, buckets+1)
	err = o.write(w.header)
	if err == nil {
		err = fill(units, buckets, o)
	}
	if err == nil {
		err = o.finish(w.keys, w.header, buckets)
	}
	if err = errors.Join(err, o.confirm.end(o.size)); err != nil {
		return Info{}, err
	}
	return Info{Rows: w.added, Anchors: o.anchors, Items: o.items, Bytes: o.size}, nil
}

// sealUnits seals the units on all processors and writes them in order.
func (w *Writer) sealUnits(units int, buckets uint64, o *output) error {
	workers := min(runtime.GOMAXPROCS(0), units)
	// What workers may be ahead of the writing is bounded as the rows were.
	ahead := max(2, w.memory/workers/batchSize)
	results := make([]chan batch, units)
	for i := range results {
		results[i] = make(chan batch, ahead)
	}
	stop := make(chan struct{})
	var group sync.WaitGroup
	var next atomic.Int64
	for range workers {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(units); i = next.Add(1) - 1 {
				deliver := sendTo(results[i], stop)
				if err := w.sealUnit(w.newBuilder(buckets, deliver), int(i), units, workers); err != nil {
					_ = deliver(batch{err: err}) // nobody wants it any more
				}
				close(results[i])
			}
		})
	}
	defer group.Wait()
	defer close(stop)
	for _, result := range results {
		for b := range result {
			if b.err != nil {
				return b.err
			}
			if err := o.add(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// sealUnit turns the rows of one unit, from memory and from all runs, into sealed buckets.
func (w *Writer) sealUnit(b *builder, unit, units, workers int) error {
	each := parts / units
	from, to := unit*each, (unit+1)*each
	var sources []source
	if w.spilled != nil {
		buffer := min(max(w.memory/workers/len(w.spilled.runs), minReadBuffer), 1<<20)
		var err error
		if sources, err = w.spilled.sources(from, to, buffer); err != nil {
			return err
		}
	}
	for i := from; i < to; i++ {
		w.parts[i].sort()
		sources = append(sources, &partSource{part: &w.parts[i]})
	}
	b.bucket = b.buckets / uint64(units) * uint64(unit)
	if err := merge(sources, b.add); err != nil {
		return err
	}
	return b.finish(b.buckets / uint64(units) * uint64(unit+1))
}

// output is the file being written, in order.
type output struct {
	file    *os.File
	sum     hash.Hash // of all before the footer, for the footer
	confirm *confirmer
	size    int64
	index   []uint64

	anchors, items uint64
}

func (o *output) write(p []byte) error {
	o.sum.Write(p)
	o.size += int64(len(p))
	if _, err := o.file.Write(p); err != nil {
		return err
	}
	o.confirm.wrote(p, o.size)
	return nil
}

func (o *output) add(b batch) error {
	for _, offset := range b.offsets {
		o.index = append(o.index, uint64(o.size)+uint64(offset))
	}
	o.anchors += b.anchors
	o.items += b.items
	err := o.write(b.data)
	buffers.Put(&b.data)
	return err
}

// finish writes the index and the footer.
func (o *output) finish(keys *keys, header []byte, buckets uint64) error {
	foot := footer{anchors: o.anchors, items: o.items, buckets: buckets, index: uint64(o.size)}
	o.index = append(o.index, foot.index)
	index := make([]byte, 0, 8*len(o.index))
	for _, offset := range o.index {
		index = binary.BigEndian.AppendUint64(index, offset)
	}
	if err := o.write(index); err != nil {
		return err
	}
	foot.size = uint64(o.size) + footerSize
	o.sum.Sum(foot.sum[:0])
	encoded := foot.appendTo(nil)
	return o.write(append(encoded, keys.indexMAC(header, index, encoded)...))
}
