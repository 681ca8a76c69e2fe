// Package embedded keeps Heyan's state on the disk of one machine: the default engine behind package store.
//
// A directory holds three things, each sealed under a key of its own: subject and business, two Pebble
// databases (package sealed), and registry, one immutable file a dataset generation (package datafile) with a
// small database of deleted records, which stay in their file until it is compacted (compact.go). keys.go lists
// the rows.
//
// # How a request passes
//
// Claims and what they reserve live in memory: a crash forgets them, and so releases them. Begin reads whether
// the evidence and the request are on file, and both are usually answered by a Bloom filter. Commit applies one
// batch to each database and returns; Wait waits for the two flushes, which run side by side and are shared
// with every commit of the same moment.
//
// Commits hold one lock together for reading, [Store]'s acts. Whatever a commit is conditional on (a withdrawal,
// a restriction, an act on a whole person) is done under the same lock for writing, and strikes the open claims
// that it concerns. So a commit either came before the act, or finds its claim struck.
//
// # Two databases, one commit
//
// A commit exists when its rows are in both databases. A crash may leave it in one; both halves carry the
// operation number, and Open removes a half commit before anything is served, by the function that voids one
// in normal work (recover.go). No half commit was ever acknowledged, because Wait waits for both.
//
// Totals (usage, counters) are absolute numbers in memory. Each commit leaves what it added in its own rows, and
// a checkpoint now and then writes the absolute numbers; Open adds up what came after the last one. So no row is
// written by every commit, and nothing waits for another.
//
// # Guaranteed
//
// What package store demands, each method at its words. After a failed flush every call fails and Healthy says
// why, until the directory is opened anew. The same within a second after the directory was moved, removed or
// replaced: what was answered within that second may be gone (watch.go).
//
// A compaction takes one processor, room on the disk for a second file of the generation, and memory for what is
// deleted and half a byte an anchor. Look-ups go on in the old file, and wait for nothing but those in flight when
// they go over to the new one. Where an open file cannot be replaced, which is on Windows, they wait until the new
// one is open.
//
// # Not guaranteed
//
// That a row is not seen a moment before it is durable: a read may show a verification, document or consent
// whose Wait has not returned, and a crash may then take it back, with everything that was built on it.
// That blocks which the device keeps after a file was deleted are gone: they are sealed. Several processes on one
// directory: the second is refused. Protection against the owner of the keys. Sense
// in databases of two moments: whoever copies or restores a directory copies all of it, while it is closed or
// as one snapshot, because Open takes what is in one database alone for half commits and removes it. That a
// whole directory of an earlier moment is noticed: Open knows no other; the server holds its mark against the log.
package embedded
