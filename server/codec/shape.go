package codec

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// kind is what a member's bytes must be.
type kind uint8

const (
	kindNone    kind = iota // no member of this number
	kindVarint              // any varint
	kindEnum                // a varint that the enum knows
	kindFixed32             // four bytes
	kindFixed64             // eight bytes
	kindString              // UTF-8
	kindBytes               // any bytes
	kindMessage             // a message, or an entry of a map
)

// denseMembers is up to which number members stand in a slice; protobuf messages number from 1 without
// large gaps.
const denseMembers = 256

// shape is what a message may hold.
type shape struct {
	name   protoreflect.Name
	dense  []member
	sparse map[protowire.Number]*member
}

// member is one field of a message. The zero member is none.
type member struct {
	kind    kind
	list    bool // occurs more than once, and scalars may be packed
	name    protoreflect.Name
	message *shape
	enum    *numbers
}

// none stands for every number that a message does not have.
var none member

// member returns the member of a number, or none.
func (s *shape) member(number uint64) *member {
	if number < uint64(len(s.dense)) {
		return &s.dense[number]
	}
	if m := s.sparse[protowire.Number(number)]; m != nil {
		return m
	}
	return &none
}

// numbers is the set of an enum's numbers.
type numbers struct {
	low  uint64 // bit n: n is known
	rest map[int32]bool
}

// has reports whether the enum knows the number that a varint is decoded to: its low 32 bits.
func (n *numbers) has(varint uint64) bool {
	number := int32(varint)
	if number >= 0 && number < 64 {
		return n.low&(1<<number) != 0
	}
	return n.rest[number]
}

// compile makes the shape of a message and of all that it can hold.
func compile(d protoreflect.MessageDescriptor) *shape {
	return compiler{shapes: map[protoreflect.FullName]*shape{}, enums: map[protoreflect.FullName]*numbers{}}.message(d)
}

type compiler struct {
	shapes map[protoreflect.FullName]*shape
	enums  map[protoreflect.FullName]*numbers
}

func (c compiler) message(d protoreflect.MessageDescriptor) *shape {
	if s := c.shapes[d.FullName()]; s != nil {
		return s // also where a type holds itself
	}
	s := &shape{name: d.Name(), sparse: map[protowire.Number]*member{}}
	c.shapes[d.FullName()] = s
	fields := d.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		m := c.member(f)
		if f.Number() >= denseMembers {
			s.sparse[f.Number()] = &m
			continue
		}
		for int(f.Number()) >= len(s.dense) {
			s.dense = append(s.dense, member{})
		}
		s.dense[f.Number()] = m
	}
	return s
}

func (c compiler) member(f protoreflect.FieldDescriptor) member {
	m := member{name: f.Name(), list: f.Cardinality() == protoreflect.Repeated}
	switch f.Kind() {
	case protoreflect.EnumKind:
		m.kind, m.enum = kindEnum, c.enum(f.Enum())
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		m.kind = kindFixed32
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		m.kind = kindFixed64
	case protoreflect.StringKind:
		m.kind = kindString
	case protoreflect.BytesKind:
		m.kind = kindBytes
	case protoreflect.MessageKind:
		m.kind, m.message = kindMessage, c.message(f.Message())
	case protoreflect.GroupKind:
		// Groups are refused wherever they occur, so a member that is one can only be absent.
		m.kind = kindNone
	default:
		m.kind = kindVarint
	}
	return m
}

func (c compiler) enum(d protoreflect.EnumDescriptor) *numbers {
	if n := c.enums[d.FullName()]; n != nil {
		return n
	}
	n := &numbers{rest: map[int32]bool{}}
	c.enums[d.FullName()] = n
	values := d.Values()
	for i := range values.Len() {
		number := int32(values.Get(i).Number())
		if number >= 0 && number < 64 {
			n.low |= 1 << number
		} else {
			n.rest[number] = true
		}
	}
	return n
}
