package codec

import (
	"encoding/binary"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/heyan-project/heyan/verifier/fault"
)

// MaxDepth is how deep messages may nest, the request being 1. The deepest of heyan.v1 needs 5.
const MaxDepth = 32

// The causes beside a path in a finding's violation.
const (
	CauseWireForm     = "WIRE_FORM"     // the bytes are no protobuf, or not of the member's type
	CauseInvalidUTF8  = "INVALID_UTF8"  // a string is not UTF-8
	CauseTooDeep      = "TOO_DEEP"      // messages nest deeper than MaxDepth
	CauseUnknownField = "UNKNOWN_FIELD" // a message holds a field number that it does not have
	CauseUnknownEnum  = "UNKNOWN_ENUM"  // an enum's number is none of its values
)

// scan looks at the bytes of a message. The zero reason says that there is nothing to find. Bytes that are
// no message of the type at all outweigh a number that is not known, whichever comes first.
func scan(s *shape, b []byte) finding {
	var found findings
	if !found.message(s, b, 1) {
		return found.malformed.of(s)
	}
	return found.outside.of(s)
}

// findings is what a scan found. It goes on after a number that is not known, and stops at malformed bytes.
// A path is made from its end: each message adds its step when the scan of one that it holds has returned,
// so that a clean message pays for no path.
type findings struct {
	outside   finding // the first number that is not known
	depth     int     // of the message that outside.path starts in
	malformed finding
}

// message scans one message; false means malformed. This is on the path of every request: nothing is
// allocated until something is found.
func (f *findings) message(s *shape, b []byte, depth int) bool {
	for i := 0; i < len(b); {
		start := i
		tag := uint64(b[i])
		i++
		if tag >= 0x80 {
			var n int
			if tag, n = protowire.ConsumeVarint(b[start:]); n < 0 {
				return f.bad(CauseWireForm, &none)
			}
			i = start + n
		}
		number := tag >> 3
		if number == 0 || number > uint64(protowire.MaxValidNumber) {
			return f.bad(CauseWireForm, &none)
		}
		m := s.member(number)
		var value uint64 // of a varint; the length of bytes
		switch wire := protowire.Type(tag & 7); wire {
		case protowire.VarintType, protowire.BytesType:
			if i >= len(b) {
				return f.bad(CauseWireForm, m)
			}
			if value = uint64(b[i]); value < 0x80 {
				i++
			} else {
				var n int
				if value, n = protowire.ConsumeVarint(b[i:]); n < 0 {
					return f.bad(CauseWireForm, m)
				}
				i += n
			}
			if wire == protowire.VarintType {
				switch m.kind {
				case kindVarint:
				case kindEnum:
					if !m.enum.has(value) {
						f.unknown(CauseUnknownEnum, m, depth)
					}
				case kindNone:
					f.unknown(CauseUnknownField, &none, depth)
				default:
					return f.bad(CauseWireForm, m)
				}
				continue
			}
			if value > uint64(len(b)-i) {
				return f.bad(CauseWireForm, m)
			}
			body := b[i : i+int(value)]
			i += int(value)
			switch m.kind {
			case kindString:
				if !utf8.Valid(body) {
					return f.bad(CauseInvalidUTF8, m)
				}
			case kindBytes:
			case kindMessage:
				if depth == MaxDepth {
					return f.bad(CauseTooDeep, m)
				}
				if !f.message(m.message, body, depth+1) {
					f.malformed.under(m, number, b[:start])
					return false
				}
				if f.depth > depth {
					f.outside.under(m, number, b[:start])
					f.depth = depth
				}
			case kindNone:
				f.unknown(CauseUnknownField, &none, depth)
			default:
				if !f.packed(m, body, depth) {
					return false
				}
			}
		case protowire.Fixed32Type:
			if len(b)-i < 4 || m.kind != kindFixed32 && m.kind != kindNone {
				return f.bad(CauseWireForm, m)
			}
			i += 4
			if m.kind == kindNone {
				f.unknown(CauseUnknownField, &none, depth)
			}
		case protowire.Fixed64Type:
			if len(b)-i < 8 || m.kind != kindFixed64 && m.kind != kindNone {
				return f.bad(CauseWireForm, m)
			}
			i += 8
			if m.kind == kindNone {
				f.unknown(CauseUnknownField, &none, depth)
			}
		default: // groups, and the two types that do not exist
			return f.bad(CauseWireForm, m)
		}
	}
	return true
}

// packed scans the elements of a packed list of scalars.
func (f *findings) packed(m *member, b []byte, depth int) bool {
	if !m.list {
		return f.bad(CauseWireForm, m)
	}
	switch m.kind {
	case kindFixed32:
		if len(b)%4 != 0 {
			return f.bad(CauseWireForm, m)
		}
		return true
	case kindFixed64:
		if len(b)%8 != 0 {
			return f.bad(CauseWireForm, m)
		}
		return true
	}
	for len(b) > 0 {
		value, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return f.bad(CauseWireForm, m)
		}
		b = b[n:]
		if m.kind == kindEnum && !m.enum.has(value) {
			f.unknown(CauseUnknownEnum, m, depth)
		}
	}
	return true
}

// bad notes malformed bytes of member m, or of the message itself for none. It returns false.
func (f *findings) bad(cause string, m *member) bool {
	f.malformed = finding{reason: fault.RequestMalformed, cause: cause, path: string(m.name)}
	return false
}

// unknown notes the first number that is not known: an enum's of member m, or a field's of the message.
func (f *findings) unknown(cause string, m *member, depth int) {
	if f.outside.reason == 0 {
		f.outside = finding{reason: fault.FieldOutsideCeiling, cause: cause, path: string(m.name)}
		f.depth = depth
	}
}

// finding is what is wrong with a request.
type finding struct {
	reason fault.Reason
	cause  string
	path   string
	limit  int // for REQUEST_TOO_LARGE, bytes
	size   int // of the message that was replaced, bytes
}

// under adds the step to the message that holds what was found: member m, whose number it is, after the
// bytes before, which are known to be well-formed. An element of a list is called by its position.
func (f *finding) under(m *member, number uint64, before []byte) {
	step := string(m.name)
	if m.list {
		step += "[" + strconv.Itoa(occurrences(before, number)) + "]"
	}
	if f.path != "" {
		step += "."
	}
	f.path = step + f.path
}

// of completes a finding: what stands in the request itself is called by the name of its type.
func (f finding) of(s *shape) finding {
	if f.path == "" {
		f.path = string(s.name)
	}
	return f
}

func occurrences(b []byte, wanted uint64) int {
	count := 0
	for len(b) > 0 {
		number, _, n := protowire.ConsumeField(b)
		if n < 0 {
			break
		}
		if uint64(number) == wanted {
			count++
		}
		b = b[n:]
	}
	return count
}

// append writes f as the content of a mark.
func (f finding) append(b []byte) []byte {
	b = append(b, byte(f.reason))
	b = binary.AppendUvarint(b, uint64(f.size))
	b = binary.AppendUvarint(b, uint64(f.limit))
	b = binary.AppendUvarint(b, uint64(len(f.cause)))
	b = append(b, f.cause...)
	return append(b, f.path...)
}

// parse reads what append writes; false for anything else.
func (f *finding) parse(b []byte) bool {
	if len(b) == 0 || !fault.Reason(b[0]).Valid() {
		return false
	}
	f.reason = fault.Reason(b[0])
	b = b[1:]
	for _, to := range []*int{&f.size, &f.limit} {
		number, n := binary.Uvarint(b)
		if n <= 0 {
			return false
		}
		*to, b = int(number), b[n:]
	}
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return false
	}
	f.cause, f.path = string(b[n:n+int(size)]), string(b[n+int(size):])
	return true
}
