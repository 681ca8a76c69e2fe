// Package verifier is Heyan's domain: the gates that a verification passes, in their order, and the answer.
//
//	entitlement → purpose → fields → age → digests → consent or legal basis → claim → source → commit ∥ log
//
// The earliest gate wins: a refusal never processes or keeps more than it needs. Before the whitelist gates
// no digest is made. Before the commit only the claim and its reserves exist.
//
// Guaranteed: an answer is returned only when both its log record and its ledger row are durable; a request is
// answered once under its request_id, and replayed after that; plaintext stays in [secret.Text], inside this
// package and below, for the length of a call.
//
// Not guaranteed: that an answer reached the client, or that the authority is right.
//
// The package does no I/O of its own and has no clock: what it needs stands in [Config] as small interfaces.
// Read next: gates.go, then commit.go.
package verifier
