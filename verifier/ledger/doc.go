// Package ledger is the life of one request: begun by a claim, answered by a commit, or released.
//
// A request is claimed under its request_id before a source is asked, so that twins and retries are answered
// once and billed once. What is kept before the commit is the claim with the digest of its content, and the
// reserves of quota; nothing of the person. The commit stores the answer, the links from the person's
// handles, an inline consent and the counters, all or nothing, and only while the consent and the person are
// as the claim found them.
//
// The types here are what an engine of package store carries out; the rules that need no state are functions
// beside them.
package ledger
