// Package export is a part of the network log that verifies without a server: a directory that `heyan log export` makes
// and `heyan log verify` proves, on any machine, with the log's verifier key alone.
//
// # The directory
//
//   - entries.jsonl or entries.csv: one row a record, in order of the index. A row shows the record in columns, and holds
//     its bytes, as the Merkle tree has them, in the column leaf (base64). The column occurred_at is the event's time,
//     UTC; RFC 3339 with nine digits, so that it sorts and other programs read it as a time.
//   - totals.jsonl or totals.csv, of an export with a filter that totals know: the hourly totals (package totals) that
//     count the records of the range, in the columns of the rows.
//   - proof.bin: the batch inclusion proof of package tree for rows and totals together, 32 bytes a hash.
//   - manifest.json: [Manifest]: what was asked for, how many rows there are, the sums of the files, the signed
//     checkpoint, and what the exporter says of it.
//
// CSV is RFC 4180, UTF-8, with a byte order mark if asked for. Text that a spreadsheet could take for a formula begins
// with an apostrophe, and so does text that begins with one; numbers stay numbers. Control characters, and those that
// change direction or are not seen, are written \n, \t, \r or \u{1b}, and a backslash is doubled: a row is one line, and
// nothing in it controls a terminal. JSON has the escapes of JSON.
//
// # Guaranteed
//
//   - [Writer] makes a directory appear under its name whole, flushed and verified, or not at all. [Writer] and [Verify]
//     hold one row at a time, whatever the size of log and export; and the groups of a total or two.
//   - [Verify] finds each change of a row: what a row shows is made anew from its leaf and compared byte by byte, and
//     every leaf is proven to stand at its index of the tree that the key's owner signed.
//   - Members and completeness are two answers. "completeness: proven" is said of an export without filter whose indexes
//     are all there, and of nothing else. Where a filter is one that totals know (client, method, outcome, whole hours),
//     they say whether rows were left out of it; a total that is not there is found too.
//
// # Not guaranteed
//
//   - What only the exporter says: filter, requester, region, gaps, retention statement, time of making, and the column
//     amended_by (a verification that was voided later is itself recorded in the log, by a record of its own). That an
//     export was made is in the log, as log.exported with range, count and names of filters.
//   - That nothing was left out of an export with another filter, and what package totals does not guarantee. The filter
//     itself is what the exporter says: with a narrower one than was asked for, the export is of that.
//   - That the key's owner signed one history only. [Options.Outside] is what shows that: checkpoints and receipts that
//     left the machine earlier. Without any, the export is not anchored outside.
//   - Which of many rows is wrong, where all are written as their leaves say and yet do not give the signed root.
//
// Read next: manifest.go for the manifest, columns.go for the columns, verify.go for the proof.
package export

import "errors"

// Names of the files.
const (
	ManifestFile = "manifest.json"
	ProofFile    = "proof.bin"
)

// TotalsFile is the name of the file of totals.
func TotalsFile(f Format) string { return "totals." + string(f) }

// EntriesFile is the name of the file of rows.
func EntriesFile(f Format) string { return "entries." + string(f) }

var (
	// ErrNoExport is a directory without a manifest.
	ErrNoExport = errors.New("export: no manifest.json in this directory")
	// ErrUnproven is what a [Writer] was given that does not verify.
	ErrUnproven = errors.New("export: what was to be exported does not verify")
)
