package netlog

import (
	"bytes"
	"encoding/binary"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// sieve tells from a record's bytes that it does not pass a filter, for a small part of what it costs to parse it. In a
// frame that was read for one record it is asked of 256. It refuses no record that [Query.Match] lets pass; what it lets
// pass is parsed, and may not match.
type sieve struct {
	from, to uint64 // nanoseconds, [from, to)
	needs    []need // fields ascending
	source   []byte // the address, as records write it; nil where any may match
}

// need is bytes that a field of the record has somewhere.
type need struct {
	field protowire.Number
	text  []byte
}

// Fields of heyan.log.v1.Record, and of its Peer.
const (
	fieldTime       = 1
	fieldEvent      = 4
	fieldActor      = 6
	fieldSession    = 7
	fieldSource     = 9
	fieldAction     = 13
	fieldObject     = 14
	fieldOutcome    = 15
	fieldProcessing = 17

	fieldPrefixBits = 3
)

func (q *Query) sieve() *sieve {
	s := &sieve{from: nanoseconds(q.From, 0), to: nanoseconds(q.To, math.MaxUint64)}
	add := func(field protowire.Number, text string) {
		if text != "" {
			s.needs = append(s.needs, need{field, []byte(text)})
		}
	}
	if q.Event != 0 {
		add(fieldEvent, q.Event.String())
	}
	add(fieldActor, q.Client)
	add(fieldActor, q.Actor)
	add(fieldSession, q.Session)
	if q.Source.IsValid() && q.Source.IsSingleIP() {
		s.source = q.Source.Addr().AppendTo(nil)
		s.needs = append(s.needs, need{field: fieldSource})
	}
	add(fieldAction, q.Method)
	add(fieldObject, q.Verification)
	add(fieldOutcome, q.Reason)
	add(fieldProcessing, q.Product)
	return s
}

// nanoseconds is a bound as records write times: they have none before 1970.
func nanoseconds(t time.Time, open uint64) uint64 {
	if t.IsZero() {
		return open
	}
	return uint64(max(t.UnixNano(), 0))
}

// passes is true for a record that may match, and for bytes that are none: parsing them says what is wrong.
func (s *sieve) passes(leaf []byte) bool {
	needs := s.needs
	for len(leaf) > 0 {
		field, kind, n := protowire.ConsumeTag(leaf)
		if n < 0 {
			return true
		}
		leaf = leaf[n:]
		if n = protowire.ConsumeFieldValue(field, kind, leaf); n < 0 {
			return true
		}
		value := leaf[:n]
		leaf = leaf[n:]
		if field == fieldTime && kind == protowire.Fixed64Type {
			if at := binary.LittleEndian.Uint64(value); at < s.from || at >= s.to {
				return false
			}
		}
		for len(needs) > 0 && needs[0].field == field {
			if !bytes.Contains(value, needs[0].text) || field == fieldSource && !s.passesSource(value) {
				return false
			}
			needs = needs[1:]
		}
		if len(needs) == 0 {
			return true
		}
		if needs[0].field < field {
			return false // fields ascend: it is not there
		}
	}
	return len(needs) == 0
}

// passesSource: the address itself, or a whole prefix, which may have it.
func (s *sieve) passesSource(value []byte) bool {
	if bytes.Contains(value, s.source) {
		return true
	}
	peer, n := protowire.ConsumeBytes(value)
	for n >= 0 && len(peer) > 0 {
		var field protowire.Number
		var kind protowire.Type
		if field, kind, n = protowire.ConsumeTag(peer); n < 0 {
			break
		}
		if field >= fieldPrefixBits {
			return field == fieldPrefixBits
		}
		peer = peer[n:]
		if n = protowire.ConsumeFieldValue(field, kind, peer); n >= 0 {
			peer = peer[n:]
		}
	}
	return n < 0
}
