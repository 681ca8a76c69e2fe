package codec_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/codec"
	"github.com/heyan-project/heyan/verifier/fault"
)

func verifyRequest() *heyanv1.VerifyRequest {
	return &heyanv1.VerifyRequest{
		Product:   "id2",
		Fields:    &heyanv1.Fields{Name: proto.String("张三"), IdNumber: proto.String("11010519491231002X")},
		RequestId: "order-20261122-0001",
		Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: "onboarding-v3", ObtainTime: &timestamppb.Timestamp{Seconds: 1795334400}, EvidenceRef: "agr-8841",
		}},
		Purpose: heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING,
	}
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// field is one length-delimited member.
func field(number protowire.Number, content ...byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
}

func varint(number protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), v)
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestFindings(t *testing.T) {
	verify := (&heyanv1.VerifyRequest{}).ProtoReflect().Type()
	batch := (&heyanv1.BatchVerifyRequest{}).ProtoReflect().Type()
	own := kinds(t)
	clean := marshal(t, verifyRequest())
	group := func(number protowire.Number) []byte {
		return join(protowire.AppendTag(nil, number, protowire.StartGroupType), protowire.AppendTag(nil, number, protowire.EndGroupType))
	}
	deep := func(levels int) []byte {
		var b []byte
		for range levels - 1 {
			b = field(1, b...)
		}
		return b
	}
	const outside, malformed = fault.FieldOutsideCeiling, fault.RequestMalformed
	for _, c := range []struct {
		name   string
		of     protoreflect.MessageType
		bytes  []byte
		reason fault.Reason // 0: clean
		path   string
		cause  string
	}{
		{"clean", verify, clean, 0, "", ""},
		{"empty", verify, nil, 0, "", ""},
		{"unknown field at the top", verify, join(clean, varint(200, 1)), outside, "VerifyRequest", codec.CauseUnknownField},
		{"reserved max_age", verify, join(clean, varint(14, 1)), outside, "VerifyRequest", codec.CauseUnknownField},
		{"a seventh field", verify, field(2, field(7, 'x')...), outside, "fields", codec.CauseUnknownField},
		{"unknown in a timestamp", verify, field(4, field(2, varint(3, 1)...)...), outside, "consent.obtain_time", codec.CauseUnknownField},
		{"unknown fixed32", verify, field(2, join(protowire.AppendTag(nil, 9, protowire.Fixed32Type), make([]byte, 4))...), outside, "fields", codec.CauseUnknownField},
		{"unknown fixed64", verify, field(2, join(protowire.AppendTag(nil, 9, protowire.Fixed64Type), make([]byte, 8))...), outside, "fields", codec.CauseUnknownField},
		{"unknown enum number", verify, varint(7, 99), outside, "purpose", codec.CauseUnknownEnum},
		{"unknown enum number below zero", verify, varint(7, ^uint64(0)), outside, "purpose", codec.CauseUnknownEnum},
		{"enum beyond 32 bits is cut as protobuf does", verify, varint(7, 1<<32|1), 0, "", ""},
		{"unknown enum number replaced later", verify, join(varint(7, 99), varint(7, 1)), outside, "purpose", codec.CauseUnknownEnum},
		{"enum of the guardian", verify, field(9, varint(1, 77)...), outside, "guardian.relation", codec.CauseUnknownEnum},
		{"the fourth of a batch", batch, join(field(1, clean...), field(1), field(1, clean...), field(1, field(2, field(8)...)...)),
			outside, "requests[3].fields", codec.CauseUnknownField},
		{"the first of two", batch, join(field(1, varint(50, 1)...), field(1, varint(7, 99)...)), outside, "requests[0]", codec.CauseUnknownField},
		{"malformed outweighs unknown", batch, join(field(1, varint(50, 1)...), field(1, field(2, field(1, 0xff)...)...)),
			malformed, "requests[1].fields.name", codec.CauseInvalidUTF8},
		{"invalid UTF-8 at the top", verify, field(1, 'i', 0xc3), malformed, "product", codec.CauseInvalidUTF8},
		{"a surrogate in UTF-8", verify, field(2, field(1, 0xed, 0xa0, 0x80)...), malformed, "fields.name", codec.CauseInvalidUTF8},
		{"NUL is UTF-8", verify, field(1, 0), 0, "", ""},
		{"cut in a tag", verify, []byte{0x80}, malformed, "VerifyRequest", codec.CauseWireForm},
		{"cut before a value", verify, []byte{0x0a}, malformed, "product", codec.CauseWireForm},
		{"cut in a value", verify, clean[:len(clean)-1], malformed, "consent", codec.CauseWireForm},
		{"cut in a varint", verify, []byte{0x38, 0x80}, malformed, "purpose", codec.CauseWireForm},
		{"length beyond 2^63", verify, append([]byte{0x0a}, protowire.AppendVarint(nil, 1<<63)...), malformed, "product", codec.CauseWireForm},
		{"field number 0", verify, []byte{0x00, 0x00}, malformed, "VerifyRequest", codec.CauseWireForm},
		{"field number too large", verify, append(protowire.AppendVarint(nil, (1<<29)<<3), 1), malformed, "VerifyRequest", codec.CauseWireForm},
		{"varint too long", verify, []byte{0x38, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, malformed, "purpose", codec.CauseWireForm},
		{"string as varint", verify, varint(1, 1), malformed, "product", codec.CauseWireForm},
		{"message as fixed32", verify, join(protowire.AppendTag(nil, 2, protowire.Fixed32Type), make([]byte, 4)), malformed, "fields", codec.CauseWireForm},
		{"singular enum as packed", verify, field(7, 1), malformed, "purpose", codec.CauseWireForm},
		{"group of a known number", verify, group(2), malformed, "fields", codec.CauseWireForm},
		{"group of an unknown number", verify, group(99), malformed, "VerifyRequest", codec.CauseWireForm},
		{"end of a group", verify, protowire.AppendTag(nil, 2, protowire.EndGroupType), malformed, "fields", codec.CauseWireForm},
		{"wire type 6", verify, []byte{0x0e}, malformed, "product", codec.CauseWireForm},
		{"HTTP", verify, []byte("GET / HTTP/1.1\r\n\r\n"), malformed, "age_declaration", codec.CauseWireForm},

		{"packed enums", own, field(2, join([]byte{0, 1, 63}, protowire.AppendVarint(nil, 70000), protowire.AppendVarint(nil, ^uint64(0)))...), 0, "", ""},
		{"packed enum unknown", own, field(2, 1, 2), outside, "colours", codec.CauseUnknownEnum},
		{"packed enum cut", own, field(2, 1, 0x80), malformed, "colours", codec.CauseWireForm},
		{"unpacked enum unknown", own, varint(2, 2), outside, "colours", codec.CauseUnknownEnum},
		{"packed fixed32", own, field(4, 1, 2, 3, 4, 5, 6, 7, 8), 0, "", ""},
		{"packed fixed32 cut", own, field(4, 1, 2, 3), malformed, "seconds", codec.CauseWireForm},
		{"packed fixed64 cut", own, field(5, 1, 2, 3, 4), malformed, "nanos", codec.CauseWireForm},
		{"packed bool", own, field(6, 1, 0, 1), 0, "", ""},
		{"double cut", own, append(protowire.AppendTag(nil, 10, protowire.Fixed64Type), 1, 2, 3, 4, 5, 6, 7), malformed, "ratio", codec.CauseWireForm},
		{"fixed32 cut", own, append(protowire.AppendTag(nil, 4, protowire.Fixed32Type), 1, 2, 3), malformed, "seconds", codec.CauseWireForm},
		{"map", own, field(3, join(field(1, 'k'), varint(2, 1))...), 0, "", ""},
		{"map key not UTF-8", own, join(field(3), field(3, field(1, 0xff)...)), malformed, "named[1].key", codec.CauseInvalidUTF8},
		{"map value unknown", own, field(3, varint(2, 5)...), outside, "named[0].value", codec.CauseUnknownEnum},
		{"map entry with a third member", own, field(3, varint(3, 5)...), outside, "named[0]", codec.CauseUnknownField},
		{"bytes are not UTF-8", own, field(8, 0xff), 0, "", ""},
		{"a list of texts", own, join(field(9, 'a'), field(9, 0xff)), malformed, "texts", codec.CauseInvalidUTF8},
		{"a far number", own, field(70000, 'a'), 0, "", ""},
		{"a far number not UTF-8", own, field(70000, 0xff), malformed, "far", codec.CauseInvalidUTF8},
		{"a far number nearby", own, field(70001, 'a'), outside, "Kinds", codec.CauseUnknownField},
		{"unknown in google.protobuf.Value", own, field(12, field(5, field(1, field(2, varint(9, 1)...)...)...)...), outside, "value.struct_value.fields[0].value", codec.CauseUnknownField},
		{"as deep as allowed", own, deep(codec.MaxDepth), 0, "", ""},
		{"too deep", own, deep(codec.MaxDepth + 1), malformed, strings.Repeat("self.", codec.MaxDepth-1) + "self", codec.CauseTooDeep},
		{"much too deep", own, deep(12000), malformed, strings.Repeat("self.", codec.MaxDepth-1) + "self", codec.CauseTooDeep},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := codec.Finding(decode(t, codec.New(codec.DefaultLimits()), c.of, c.bytes))
			if c.reason == 0 {
				if f != nil {
					t.Fatalf("finding %v", f)
				}
				return
			}
			if f == nil || f.Reason != c.reason || len(f.Violations) != 1 || f.Violations[0] != (fault.Violation{Field: c.path, Cause: c.cause}) {
				t.Fatalf("finding %v, want %v: %s %s", f, c.reason, c.path, c.cause)
			}
			agree(t, codec.New(codec.DefaultLimits()), c.of, c.bytes)
		})
	}
}

func TestSize(t *testing.T) {
	limits := codec.DefaultLimits()
	types := requests(t)
	for name := range limits.Messages {
		if types[name] == nil {
			t.Errorf("a limit for %s, which no method takes", name)
		}
	}
	c := codec.New(limits)
	for name, mt := range types {
		limit := 64 << 10
		if own, ok := limits.Messages[name]; ok {
			limit = own
		}
		f := codec.Finding(decode(t, c, mt, make([]byte, limit+1)))
		if f == nil || f.Reason != fault.RequestTooLarge || f.Metadata["limit_bytes"] != fmt.Sprint(limit) {
			t.Errorf("%s of %d bytes: %v", name, limit+1, f)
		}
		if f := codec.Finding(decode(t, c, mt, make([]byte, limit))); f == nil || f.Reason != fault.RequestMalformed {
			t.Errorf("%s of %d bytes: %v", name, limit, f)
		}
	}
	one := codec.New(codec.Limits{Default: 1, Messages: map[protoreflect.FullName]int{"heyan.v1.VerifyRequest": 5}})
	request := &heyanv1.VerifyRequest{Product: "id2"}
	if f := codec.Finding(decode(t, one, request.ProtoReflect().Type(), marshal(t, request))); f != nil {
		t.Error(f)
	}
	// The bytes of a message come in pieces; the limit is on their sum.
	b := marshal(t, verifyRequest())
	pieces := mem.BufferSlice{mem.SliceBuffer(b[:3]), mem.SliceBuffer(b[3:])}
	var whole heyanv1.VerifyRequest
	if err := one.Unmarshal(pieces, &whole); err != nil || codec.Finding(&whole) == nil {
		t.Error("pieces over the limit were taken", err)
	}
	if err := c.Unmarshal(pieces, &whole); err != nil || codec.Finding(&whole) != nil || whole.GetRequestId() != verifyRequest().GetRequestId() {
		t.Error("pieces were not joined", err)
	}
}

// A finding holds names of the descriptors only: whatever a caller puts into numbers and values, no byte of
// it comes back.
func TestFindingEchoesNothing(t *testing.T) {
	const canary = "13800138000"
	request := verifyRequest()
	request.Fields.PhoneNumber = proto.String(canary)
	b := marshal(t, request)
	c := codec.New(codec.DefaultLimits())
	for _, bad := range [][]byte{
		join(b, field(13800138, []byte(canary)...)), join(b, varint(7, 13800138000)), join(b, field(11, []byte(canary+"\xff")...)), b[:len(b)-1],
	} {
		m := decode(t, c, request.ProtoReflect().Type(), bad)
		f := codec.Finding(m)
		if f == nil {
			t.Fatal("not found")
		}
		if text := fmt.Sprintf("%+v %x", *f, marshal(t, m)); strings.Contains(text, "13800138") || strings.Contains(text, fmt.Sprintf("%x", canary)) {
			t.Errorf("the finding holds the value: %s", text)
		}
	}
}

// A caller can send the very bytes of a mark, and gets a refusal for them.
func TestMarkCannotBeForged(t *testing.T) {
	c := codec.New(codec.DefaultLimits())
	mt := (&heyanv1.VerifyRequest{}).ProtoReflect().Type()
	forged := marshal(t, decode(t, c, mt, make([]byte, 1<<20)))
	f := codec.Finding(decode(t, c, mt, forged))
	if f == nil || f.Reason != fault.FieldOutsideCeiling {
		t.Fatalf("got %v", f)
	}
	// A message that some other way brought unknown fields into the server is not served either.
	for _, unknown := range [][]byte{varint(99, 1), append(forged, 0), forged[:5], forged[:len(forged)-1]} {
		m := mt.New()
		m.SetUnknown(unknown)
		if f := codec.Finding(m.Interface()); f == nil || f.Reason != fault.InternalError {
			t.Errorf("unknown %x: %v", unknown, f)
		}
	}
}

// Nothing of what a message held before, or was sent in part, is left beside a finding.
func TestRefusedMessageIsEmpty(t *testing.T) {
	m := verifyRequest()
	if err := codec.New(codec.DefaultLimits()).Unmarshal(mem.BufferSlice{mem.SliceBuffer(field(2, field(7)...))}, m); err != nil {
		t.Fatal(err)
	}
	if codec.Finding(m) == nil || m.GetFields() != nil || m.GetProduct() != "" {
		t.Error("the message still holds values")
	}
}

func TestNotProto(t *testing.T) {
	if err := codec.New(codec.DefaultLimits()).Unmarshal(nil, new(int)); err == nil {
		t.Error("a target that is no protobuf message must be an error")
	}
}

// Every request that heyan.v1 can describe passes, however many members it sets, and nests far less deep
// than the bound.
func TestEveryRequestPasses(t *testing.T) {
	c := codec.New(codec.DefaultLimits())
	for name, mt := range requests(t) {
		m := mt.New()
		if depth := fill(m, 1); depth > codec.MaxDepth/4 {
			t.Errorf("%s nests %d deep", name, depth)
		}
		b := marshal(t, m.Interface())
		got := decode(t, c, mt, b)
		if f := codec.Finding(got); f != nil {
			t.Errorf("%s: %v", name, f)
		} else if !proto.Equal(got, m.Interface()) {
			t.Errorf("%s: decoded otherwise", name)
		}
		// The same with one member too many in each message of it.
		for i := range walk(mt.Descriptor()) {
			m := mt.New()
			spoiled := spoil(m, i, new(int))
			if !spoiled {
				t.Fatalf("%s: message %d was not reached", name, i)
			}
			if f := codec.Finding(decode(t, c, mt, marshal(t, m.Interface()))); f == nil || f.Reason != fault.FieldOutsideCeiling {
				t.Errorf("%s: an unknown field in message %d was not found: %v", name, i, f)
			}
		}
	}
}

// fill sets every member (of a oneof the last) and returns how deep the message nests.
func fill(m protoreflect.Message, depth int) int {
	deepest := depth
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		set := func() protoreflect.Value {
			switch f.Kind() {
			case protoreflect.MessageKind:
				v := m.NewField(f)
				if f.IsList() {
					v = v.List().NewElement()
				}
				deepest = max(deepest, fill(v.Message(), depth+1))
				return v
			case protoreflect.EnumKind:
				return protoreflect.ValueOfEnum(f.Enum().Values().Get(f.Enum().Values().Len() - 1).Number())
			case protoreflect.StringKind:
				return protoreflect.ValueOfString("核验")
			case protoreflect.BytesKind:
				return protoreflect.ValueOfBytes([]byte{0xff})
			case protoreflect.BoolKind:
				return protoreflect.ValueOfBool(true)
			case protoreflect.Int32Kind:
				return protoreflect.ValueOfInt32(-1)
			case protoreflect.Int64Kind:
				return protoreflect.ValueOfInt64(-1)
			case protoreflect.Uint64Kind:
				return protoreflect.ValueOfUint64(1 << 63)
			}
			return f.Default()
		}
		if f.IsList() {
			list := m.Mutable(f).List()
			list.Append(set())
			list.Append(set())
			continue
		}
		m.Set(f, set())
	}
	return deepest
}

// walk lists the messages that a message holds, itself first, in the order of spoil.
func walk(d protoreflect.MessageDescriptor) []protoreflect.FullName {
	all := []protoreflect.FullName{d.FullName()}
	for i := range d.Fields().Len() {
		if f := d.Fields().Get(i); f.Message() != nil {
			all = append(all, walk(f.Message())...)
		}
	}
	return all
}

// spoil builds the path to the wanted message of walk and puts an unknown field there.
func spoil(m protoreflect.Message, wanted int, at *int) bool {
	if *at == wanted {
		m.SetUnknown(varint(1000, 1))
		return true
	}
	*at++
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if f.Message() == nil {
			continue
		}
		v := m.NewField(f)
		inner := v
		if f.IsList() {
			inner = v.List().NewElement()
		}
		if spoil(inner.Message(), wanted, at) {
			if f.IsList() {
				v.List().Append(inner)
			}
			m.Set(f, v)
			return true
		}
	}
	return false
}

func FuzzScan(f *testing.F) {
	types := []protoreflect.MessageType{
		(&heyanv1.VerifyRequest{}).ProtoReflect().Type(), (&heyanv1.BatchVerifyRequest{}).ProtoReflect().Type(),
		(&heyanv1.UpdateClientRequest{}).ProtoReflect().Type(), kinds(f),
	}
	for i, mt := range types[:3] {
		m := mt.New()
		fill(m, 1)
		f.Add(byte(i), marshal(f, m.Interface()))
	}
	f.Add(byte(3), join(field(2, 0, 1, 63), field(3, join(field(1, 'k'), varint(2, 1))...), field(7, field(7)...), field(4, 1, 2, 3, 4), field(70000, 'x')))
	f.Add(byte(0), []byte{0x0a, 0x80})
	f.Add(byte(3), []byte{0x0b, 0x0c})
	c := codec.New(codec.DefaultLimits())
	f.Fuzz(func(t *testing.T, which byte, b []byte) { agree(t, c, types[int(which)%len(types)], b) })
}
