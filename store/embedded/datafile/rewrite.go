package datafile

// Rewrite writes to a new file at path what r holds, but for the payloads that keep turns down: under the same
// header, with a salt and so with keys of its own. keep is asked once for every payload, in ascending order of
// anchor and payload; an error of it ends the work and is returned. path must not exist, and until the new file is
// whole, durable and read back, as after [Writer.Finish], nothing is there. key has KeySize bytes.
//
// It takes one pass on one processor, and memory for a batch of sealed buckets and half a byte an anchor.
// Look-ups in r go on meanwhile; after Close the walk still comes to its end.
//
// Errors: those of [Reader.Iterate] and [Writer.Finish], and of keep.
func (r *Reader) Rewrite(path string, key []byte, keep func(anchor [AnchorSize]byte, payload []byte) (bool, error)) (Info, error) {
	w, err := Create(path, r.header, key, Options{})
	if err != nil {
		return Info{}, err
	}
	// Buckets for as many anchors as there were: fewer only leave them emptier.
	return w.finish(r.Len(), func(_ int, buckets uint64, o *output) error {
		b := w.newBuilder(buckets, o.add)
		err := r.Iterate(func(anchor [AnchorSize]byte, list []byte) error {
			for payload := range Items(list) {
				kept, err := keep(anchor, payload)
				if err == nil && kept {
					w.added++
					err = b.add(anchor[:], payload)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return b.finish(buckets)
	})
}
