// Package record is one record of the network log: its fields, the closed list of events, and its bytes.
//
// The bytes are the protobuf wire form of heyan.log.v1.Record (proto/heyan/log/v1/record.proto), written and read by
// hand with protowire: no reflection, no allocation when writing. The form is canonical: fields ascend, default values
// and unknown fields do not occur, varints are shortest. [Parse] accepts nothing else, so Append(Parse(b)) is b.
// The log hashes and stores the bytes; nothing re-encodes them.
//
// What is guaranteed: a record is at most [MaxSize] bytes; every string but a diff is printable ASCII without space, at
// most [MaxText] bytes; enumerations and events are members of their lists. What is not: that a string is harmless. A
// caller of this package MUST only put in names and ids that Heyan or its operator made. No text that a client chose,
// no value of a field, no digest of one (the commitment excepted) belongs in a record.
//
// Read next: event.go for the events, commitment.go for what the commitment commits to.
package record

import (
	"net/netip"
	"time"
)

const (
	// MaxSize is the largest record, in bytes.
	MaxSize = 16 << 10
	// MaxText is the longest string, in bytes, but for Change.Diff.
	MaxText = 128
	// MaxDiff is the longest Change.Diff, in bytes.
	MaxDiff = 8 << 10
	// MaxList is the longest list: field names, digests, sources, peers, filters.
	MaxList = 64
)

// Record is one event. Time, Event and Outcome.Kind are required; every other zero field is absent.
type Record struct {
	Time        time.Time // written as UTC nanoseconds; 1970 to 2262
	Clock       Clock
	Category    Category // zero: that of the event
	Event       Event
	Severity    Severity // zero: that of the event
	Actor       Actor
	Session     string   // connection id
	TraceID     [16]byte // Heyan's own
	Source      Peer
	Destination Peer
	Via         Peer // the load balancer, when Source was told by a trusted proxy
	Protocol    Protocol
	Action      string // full method, or offline command
	Object      Object
	Outcome     Outcome
	Traffic     Traffic
	Processing  *Processing
	Commitment  [32]byte // zero: absent
	Change      *Change
	Security    *Security
	Tally       *Tally
	Birth       *Birth
	Recovery    *Recovery
	LogAccess   *LogAccess
	Status      *Status
	Purge       *Purge
	Totals      *Totals
}

// Clock is the state of the node's clock when the record was made.
type Clock struct {
	State  ClockState
	Offset time.Duration // positive: ahead of its reference
}

// Actor is who acted.
type Actor struct {
	Kind       ActorKind
	ID         string // the slug the operator chose
	Role       string
	Credential string // fingerprint, hexadecimal
	AuthMethod string
	OnBehalfOf string
}

// Peer is one end of a connection. IP is written without a zone; an IPv4-mapped IPv6 address as IPv4.
type Peer struct {
	IP          netip.Addr
	Port        uint16
	PrefixBits  uint8  // 0: the address is exact
	Name        string // outbound: the authority's configured name
	Certificate string // outbound: fingerprint, hexadecimal
}

// Protocol is what the connection spoke.
type Protocol struct {
	TLSVersion string
	Cipher     string
	ServerName string // a configured name, or "other"
	UserAgent  string // of a closed list
}

// Object is what was acted on.
type Object struct{ Type, ID string }

// Outcome is how the event ended.
type Outcome struct {
	Kind   OutcomeKind
	Code   uint32 // gRPC status code, 0 to 16
	Reason string // a name of heyan.v1.ErrorReason or of another closed list
}

// Traffic is what went over the wire up to the record.
type Traffic struct {
	BytesIn, BytesOut       uint64
	MessagesIn, MessagesOut uint64
	Duration                time.Duration
}

// Processing is one handling of personal information: names and ids, never a value.
type Processing struct {
	Product       string
	Purpose       string
	Fields        []string // names
	LegalBasis    string
	ConsentUse    string // a fresh id, not the consent's
	PolicyVersion string
	Verdict       string
	Source        string
	AsOf          time.Time
	Dataset       string
	Billing       string
	Reused, Test  bool
}

// Change is an administrative or configuration change.
type Change struct {
	Before, After string // digests, such as "sha256:…"
	Diff          string // secrets removed
	Digests       []Digest
}

// Digest names something and its digest.
type Digest struct{ Name, Value string }

// Security is a network security event.
type Security struct {
	Attack, Target, Rule string
	Count, Limit         uint64
	Window               time.Duration
}

// Tally is many like events counted as one.
type Tally struct {
	Count               uint64
	First, Last         time.Time
	FirstPort, LastPort uint16
}

// Birth is the beginning of an origin. PredecessorRoot zero: absent.
type Birth struct {
	Origin          string
	Cause           string
	Predecessor     string
	PredecessorSize uint64
	PredecessorRoot [32]byte
}

// Recovery is what a start found after an unclean stop.
type Recovery struct {
	File     string
	Offset   uint64
	CutBytes uint64
	Size     uint64 // records that remained
}

// Purge is the end of the log's oldest records, [From, To).
type Purge struct {
	From, To  uint64
	Segments  uint64
	Bytes     uint64
	Latest    time.Time // of the latest record
	Period    string    // calendar months, such as "P6M"
	GraceDays uint64
	Kept      uint64 // older tree sizes that can still be proven against
}

// LogAccess is a reading of the log: [From, To), how many were given out, which filters (names) were set.
type LogAccess struct {
	From, To, Count uint64
	Filters         []string
}

// Status is operation status.
type Status struct {
	Uptime          time.Duration
	LoadMilli       uint64 // one-minute load average × 1000
	Calls, Failures uint64 // since the previous heartbeat
	DiskFree        uint64 // bytes
	DiskTotal       uint64 // bytes
	Sources         []Health
	Peers           []TreeHead
	LedgerMark      uint64 // index up to which the ledger agreed with this log, durable in the store before this record
}

// Health is the state of one dependency: "up", "degraded", "down".
type Health struct{ Name, State string }

// TreeHead is the size and root of a log.
type TreeHead struct {
	Origin string
	Size   uint64
	Root   [32]byte
}
