// Package digest makes the keyed digests that are all Heyan keeps of a value.
//
// Every digest is HMAC-SHA-256 under a key of its own for each use and field, derived by HKDF-SHA-256
// (RFC 5869) from a root in a [Chain]. What is hashed is the use, and for each value its field, form and
// canonical text: use, field and form a byte each, the text after its length; algorithm, use and field also enter
// the key derivation. So the same value gives different bytes in every store, the same digits differ as a phone number and as a card number,
// and two values can never be confused by where one ends.
//
// Guaranteed: the same value, use and chain always give the same digest, on every machine and version; test
// vectors hold it. Without the chain no digest can be checked against a guess.
//
// Not guaranteed: secrecy against whoever holds the chain. The six fields can all be enumerated, so chain and
// data together find any value by trial. A rotation ([Chain.Extend]) wraps: digests under the longer chain are
// HMAC(K_n, older digest), which protects copies taken afterwards and nothing that leaked before.
//
// Keys live in key files, outside the data directory: [GenerateKeyFile], [ParseKeyFile].
package digest
