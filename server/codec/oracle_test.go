package codec_test

import (
	"os"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	_ "google.golang.org/protobuf/types/known/structpb" // imported by testdata/kinds.txtpb

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/codec"
)

// kinds is the message type of testdata/kinds.txtpb.
func kinds(t testing.TB) protoreflect.MessageType {
	t.Helper()
	text, err := os.ReadFile("testdata/kinds.txtpb")
	if err != nil {
		t.Fatal(err)
	}
	var file descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	d, err := protodesc.NewFile(&file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return dynamicpb.NewMessageType(d.Messages().ByName("Kinds"))
}

// requests are the types that heyan.v1's methods take, by full name.
func requests(t testing.TB) map[protoreflect.FullName]protoreflect.MessageType {
	t.Helper()
	found := map[protoreflect.FullName]protoreflect.MessageType{}
	protoregistry.GlobalFiles.RangeFilesByPackage(heyanv1.File_heyan_v1_errors_proto.Package(), func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			methods := f.Services().Get(i).Methods()
			for j := range methods.Len() {
				input := methods.Get(j).Input().FullName()
				mt, err := protoregistry.GlobalTypes.FindMessageByName(input)
				if err != nil {
					t.Fatal(err)
				}
				found[input] = mt
			}
		}
		return true
	})
	if len(found) < 40 {
		t.Fatalf("only %d request types: the walk is broken", len(found))
	}
	return found
}

func decode(t testing.TB, c *codec.Codec, mt protoreflect.MessageType, b []byte) proto.Message {
	t.Helper()
	m := mt.New().Interface()
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, m); err != nil {
		t.Fatalf("Unmarshal must not fail: %v", err)
	}
	return m
}

// reference is the same rule once more, the slow and obvious way: over descriptors, member by member.
func reference(d protoreflect.MessageDescriptor, b []byte, depth int) bool {
	if depth > codec.MaxDepth {
		return false
	}
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		value := b[n:]
		n = protowire.ConsumeFieldValue(number, wire, value)
		if n < 0 || wire == protowire.StartGroupType {
			return false
		}
		b, value = value[n:], value[:n]
		f := d.Fields().ByNumber(number)
		if f == nil || !referenceValue(f, wire, value, depth) {
			return false
		}
	}
	return true
}

func referenceValue(f protoreflect.FieldDescriptor, wire protowire.Type, value []byte, depth int) bool {
	natural := map[protoreflect.Kind]protowire.Type{
		protoreflect.StringKind: protowire.BytesType, protoreflect.BytesKind: protowire.BytesType,
		protoreflect.MessageKind: protowire.BytesType,
		protoreflect.Fixed32Kind: protowire.Fixed32Type, protoreflect.Sfixed32Kind: protowire.Fixed32Type,
		protoreflect.FloatKind:   protowire.Fixed32Type,
		protoreflect.Fixed64Kind: protowire.Fixed64Type, protoreflect.Sfixed64Kind: protowire.Fixed64Type,
		protoreflect.DoubleKind: protowire.Fixed64Type,
	}[f.Kind()] // varint is the zero type
	if wire == natural {
		body, _ := protowire.ConsumeBytes(value)
		switch f.Kind() {
		case protoreflect.StringKind:
			return utf8.Valid(body)
		case protoreflect.MessageKind:
			return reference(f.Message(), body, depth+1)
		case protoreflect.EnumKind:
			v, _ := protowire.ConsumeVarint(value)
			return f.Enum().Values().ByNumber(protoreflect.EnumNumber(int32(v))) != nil
		}
		return true
	}
	if wire != protowire.BytesType || !f.IsList() || natural == protowire.BytesType {
		return false
	}
	packed, _ := protowire.ConsumeBytes(value)
	for len(packed) > 0 {
		n := protowire.ConsumeFieldValue(f.Number(), natural, packed)
		if n < 0 || !referenceValue(f, natural, packed[:n], depth) {
			return false
		}
		packed = packed[n:]
	}
	return true
}

// known walks a decoded message by reflection: no unknown field, no unknown enum number, at any depth. It is
// what a server does that asks protobuf itself.
func known(m protoreflect.Message) bool {
	if len(m.GetUnknown()) != 0 {
		return false
	}
	ok := true
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				ok = ok && knownValue(f.MapValue(), v)
				return ok
			})
		case f.IsList():
			for i := 0; ok && i < v.List().Len(); i++ {
				ok = knownValue(f, v.List().Get(i))
			}
		default:
			ok = knownValue(f, v)
		}
		return ok
	})
	return ok
}

func knownValue(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	switch f.Kind() {
	case protoreflect.EnumKind:
		return f.Enum().Values().ByNumber(v.Enum()) != nil
	case protoreflect.MessageKind:
		return known(v.Message())
	}
	return true
}

// agree holds the codec to the reference and to protobuf itself.
func agree(t *testing.T, c *codec.Codec, mt protoreflect.MessageType, b []byte) {
	t.Helper()
	m := decode(t, c, mt, b)
	found := codec.Finding(m)
	if want := reference(mt.Descriptor(), b, 1); (found == nil) != want {
		t.Fatalf("%s %x: finding %v, the reference accepts: %v", mt.Descriptor().FullName(), b, found, want)
	}
	plain := mt.New().Interface()
	err := proto.Unmarshal(b, plain)
	switch {
	case found == nil && (err != nil || !known(plain.ProtoReflect())):
		t.Fatalf("%s %x: accepted, but protobuf says %v", mt.Descriptor().FullName(), b, err)
	case found == nil && !proto.Equal(m, plain):
		t.Fatalf("%s %x: decoded otherwise than protobuf does", mt.Descriptor().FullName(), b)
	case found == nil:
		return
	}
	// A refused message is empty but for the mark.
	if proto.Size(m) != len(m.ProtoReflect().GetUnknown()) {
		t.Fatalf("%s %x: a refused message still holds something", mt.Descriptor().FullName(), b)
	}
	// Protobuf merges repeated members and forgets what a later one replaced, and maps forget unknown
	// members of an entry. What it still has after that must be fine once it is written plainly.
	if err == nil && known(plain.ProtoReflect()) {
		again, err := proto.Marshal(plain)
		if err != nil {
			t.Fatal(err)
		}
		if found := codec.Finding(decode(t, c, mt, again)); found != nil && reference(mt.Descriptor(), again, 1) {
			t.Fatalf("%s %x: what protobuf keeps of it is refused: %v", mt.Descriptor().FullName(), again, found)
		}
	}
}
