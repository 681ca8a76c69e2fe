// Package sealed keeps a Pebble database whose files are encrypted and whose rows are authenticated.
//
// [FS] is a file system for Pebble that encrypts every file it writes: tables, write-ahead logs,
// manifests, options. [Open] opens a database through it, with every value tagged by package row and
// with options chosen for many small durable commits and many look-ups of absent keys.
//
// # A file at rest
//
// A sealed file is a header of 64 bytes and the contents encrypted by AES-256-CTR (NIST SP 800-38A):
//
//	0   6  "HYSEAL"
//	6   2  format version, big endian: 1
//	8   8  key id: HKDF(store key, "heyan sealed file key id v1")
//	16  32 salt, random
//	48  16 HMAC-SHA-256(HKDF(store key, "heyan sealed file check v1"), bytes 0–47), left half
//	64     contents ⊕ keystream of HKDF(store key, salt, "heyan sealed file AES-256-CTR v1")
//
// The counter starts at 0: the key belongs to the file alone. HKDF is that of RFC 5869 with SHA-256.
//
// # Guaranteed
//
//   - No byte that Pebble writes reaches the disk in clear, and file names never hold keys or values.
//   - A keystream is used once. A file is written from its beginning to its end and never again:
//     WriteAt and OpenReadWrite are refused, a log that Pebble wants to reuse is deleted and made
//     anew under a fresh salt, and a file whose write failed takes no further write.
//   - A wrong store key is [ErrWrongKey] before anything is decrypted, a newer format is
//     [ErrNewerFormat].
//   - A value read is the value written under that key in this store, or the call fails with
//     [ErrTampered].
//   - A look-up of an absent key is answered from memory, but for about one in a hundred: recent.go
//     knows the keys in memory tables, Bloom filters those of the tables.
//   - No log line and no error text of this package holds a key or a value.
//
// # Not guaranteed
//
//   - Counter mode hides and does not protect: a changed block is found by Pebble's checksums when it
//     is an accident, and by the row's tag when it is meant. Somebody who can write to the disk can
//     still remove rows, or put back an older state of the whole directory.
//   - After a crash, damage in the last 32 KiB of the log cannot be told from a write that the crash
//     interrupted: commits in it may be missing without an error. Damage further back is found.
//     The comparison of ledger and network log, by which every acknowledged row is known elsewhere,
//     is what finds missing rows.
//   - File sizes, names, times and the number of rows are visible.
//   - A key of a table whose checksum was forged may read as another key; its value will not open.
//
// What to read next: FS for the files, [DB] for the rows, [DB.Purge] for physical erasure.
package sealed
