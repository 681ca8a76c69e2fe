// Package datafile is one generation of a dataset as one file: immutable, sorted, sealed and mapped
// into memory. It maps an anchor, which is 32 bytes of a keyed digest, to the list of payloads that
// were added under it. What a payload means is the caller's business.
//
// Write a file with [Create], [Writer.Add] and [Writer.Finish]; read it with [Open] and
// [Reader.Lookup]. A file is never changed: to remove records, [Reader.Rewrite] makes another one.
//
// # Format, version 1
//
// Integers are big endian, uvarint is that of encoding/binary, HKDF is RFC 5869 with SHA-256 over the
// key given to Create.
//
//	header   "HYDATA" ‖ uint16 version ‖ key id [8] ‖ salt [32] ‖ uint32 length of what follows ‖
//	         dataset, generation, suite, attributes, each as uint32 length ‖ bytes
//	buckets  one after the other, in order
//	index    for each bucket its offset as uint64, and the offset of the index itself
//	footer   uint64 anchors ‖ uint64 items ‖ uint64 buckets ‖ uint64 offset of the index ‖
//	         uint64 size of the file ‖ SHA-256 of everything before the footer ‖
//	         HMAC-SHA-256 of header ‖ index ‖ footer so far
//
//	bucket   uvarint n ‖ n anchors, ascending ‖ n uvarint lengths ‖ tag [16] ‖ n sealed lists
//	list     for each item, ascending and without duplicates: uvarint length ‖ bytes
//
// An anchor belongs to bucket ⌊p·B / 2⁶⁴⌋, where p is its first eight bytes as a number and B the
// number of buckets: anchors are uniform, so buckets hold about 16 each and are found without a search.
//
// A list is sealed by AES-256-GCM under HKDF(key, salt, "heyan datafile records v1"), with the
// anchor's first 12 bytes as nonce and as associated data
//
//	anchor ‖ dataset ‖ generation ‖ suite, the strings each as uint32 length ‖ bytes
//
// The tag of a bucket is that of AES-256-GCM over no plaintext under HKDF(key, salt, "heyan datafile
// buckets v1"), with the bucket's number as nonce and the bucket up to the tag as associated data. The
// HMAC key is HKDF(key, salt, "heyan datafile index v1"), the key id HKDF(key, "heyan datafile key id
// v1").
//
// # Size
//
// An anchor costs 32 bytes, its list 16 (the tag) and 1 (the length, 2 from 128 bytes on), and its
// share of a bucket (8 of index, 16 of tag, 1 of count) / 16 = 1.6: together 50.6 bytes beside the list.
// With records of k digests of 32 bytes, one byte of kind each and one of length a record:
//
//	k = 2: 50.6 +  67 = 118 bytes for 3 digests: 1.23 × 32 a digest
//	k = 3: 50.6 + 100 = 151 bytes for 4 digests: 1.18 × 32
//	k = 4: 51.6 + 133 = 185 bytes for 5 digests: 1.15 × 32
//
// # Guaranteed
//
//   - A look-up returns what was added under that anchor, or nothing if nothing was, or an error. A
//     file that was changed in any byte is refused by Open or gives [ErrTampered] at the look-up: a hit
//     is authenticated by its list's tag, a miss by its bucket's. A record cannot be removed, moved or
//     swapped unnoticed, nor a file of another dataset, generation or suite be put in its place.
//   - After a crash before Finish returns there is no file under the final name, or the whole one.
//   - A file of a newer format is [ErrNewerFormat], another key is [ErrWrongKey].
//   - A look-up is one or two reads of memory pages, and allocates nothing when dst has room.
//   - Close lets look-ups in flight finish.
//
// # Not guaranteed
//
//   - Anchors are not encrypted. They are keyed digests, and useless without that key.
//   - An older file of the same dataset and generation, put back whole, opens. Which file is current is
//     kept elsewhere.
//   - A mapped file must not be cut short while it is open: the kernel answers a read past the end with
//     SIGBUS. Size and footer are checked when the file is opened, and a fault during a look-up becomes
//     [ErrUnreadable] rather than the end of the process, which also covers a failing disk.
//   - The bytes read back by Finish may come from the kernel's cache where it cannot be told to drop it.
//
// Nothing here logs, and no error holds an anchor or a payload.
package datafile
