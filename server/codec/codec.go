// Package codec is the gRPC codec of a Heyan server: "proto", whose Unmarshal never fails.
//
// grpc-go answers a message that cannot be decoded before any interceptor runs, so such a call would leave
// no record and get no typed refusal. This codec therefore never reports an error for what a caller sent.
// It looks at the bytes first, and where it finds anything wrong it leaves the message empty but for a mark,
// which [Finding] turns into the refusal once the caller is known and the record is written.
//
// What is guaranteed of a message without a finding: its bytes were at most the limit of its type
// ([Limits]); they are well-formed protobuf without groups; every string is UTF-8; every field number and
// every enum number, at any depth, in lists, packed lists, maps and the types of google.protobuf too, stands
// in the descriptors this binary was built with; messages nest at most [MaxDepth] deep.
//
// What is not: that a member is present or means anything. A singular member that is sent twice is taken as
// protobuf takes it (the last scalar wins, messages merge); every occurrence is looked at. The content of
// google.protobuf.Any is bytes to this package. What grpc-go refuses by itself, a message above the
// server's MaxRecvMsgSize or one that cannot be decompressed, never gets here.
//
// Read next: scan.go for the look at the bytes, shape.go for what it compares them with.
package codec

import (
	"errors"
	"sync/atomic"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/heyan-project/heyan/verifier/fault"
)

// errNotProto is a defect of the server: a service was registered that does not speak protobuf.
var errNotProto = errors.New("codec: the message to decode into is no protobuf message")

// Limits is how large a message may be, in bytes of protobuf after decompression.
type Limits struct {
	// Default holds for every type that Messages does not name. Zero refuses every message that is not empty.
	Default int
	// Messages names types by their full name, e.g. "heyan.v1.BatchVerifyRequest".
	Messages map[protoreflect.FullName]int
}

// DefaultLimits are 64 KiB, and 1 MiB for the requests that carry lists or a policy's text.
func DefaultLimits() Limits {
	return Limits{
		Default: 64 << 10,
		Messages: map[protoreflect.FullName]int{
			"heyan.v1.BatchVerifyRequest":   1 << 20,
			"heyan.v1.ImportRecordsRequest": 1 << 20,
			"heyan.v1.DeleteRecordsRequest": 1 << 20,
			"heyan.v1.PublishPolicyRequest": 1 << 20,
		},
	}
}

func (l Limits) of(name protoreflect.FullName) int {
	if limit, ok := l.Messages[name]; ok {
		return limit
	}
	return l.Default
}

// Codec is an encoding.CodecV2 for grpc.ForceServerCodecV2. It is safe for concurrent use.
type Codec struct {
	limits Limits
	plain  encoding.CodecV2 // grpc's own, for what the server sends
	// shapes grows to the types of the registered methods' requests and is then only read.
	shapes atomic.Pointer[map[protoreflect.MessageType]*root]
}

// root is what is known of one request type.
type root struct {
	limit int
	shape *shape
}

// New makes a codec. The limits are copied.
func New(limits Limits) *Codec {
	c := &Codec{plain: encoding.GetCodecV2(protocodec.Name)}
	c.limits = Limits{Default: limits.Default, Messages: make(map[protoreflect.FullName]int, len(limits.Messages))}
	for name, limit := range limits.Messages {
		c.limits.Messages[name] = limit
	}
	c.shapes.Store(&map[protoreflect.MessageType]*root{})
	return c
}

// Name implements encoding.CodecV2.
func (c *Codec) Name() string { return protocodec.Name }

// Marshal implements encoding.CodecV2 as grpc-go does, into pooled buffers.
func (c *Codec) Marshal(v any) (mem.BufferSlice, error) { return c.plain.Marshal(v) }

// Unmarshal implements encoding.CodecV2. Whatever data holds, it returns nil and leaves either the decoded
// message or a finding in v. It returns an error only if v is no protobuf message.
func (c *Codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return errNotProto
	}
	r := c.root(m.ProtoReflect().Type())
	if data.Len() > r.limit {
		mark(m, finding{reason: fault.RequestTooLarge, limit: r.limit, size: data.Len()})
		return nil
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	if found := scan(r.shape, buf.ReadOnlyData()); found.reason != 0 {
		found.size = data.Len()
		mark(m, found)
		return nil
	}
	// Nothing is left that could fail but a required member of proto2, which no service here has.
	if err := proto.Unmarshal(buf.ReadOnlyData(), m); err != nil {
		mark(m, finding{reason: fault.RequestMalformed, cause: CauseWireForm, path: string(r.shape.name), size: data.Len()})
	}
	return nil
}

// root returns what is known of a type, and learns it at the type's first message.
func (c *Codec) root(t protoreflect.MessageType) *root {
	for {
		known := c.shapes.Load()
		if r, ok := (*known)[t]; ok {
			return r
		}
		d := t.Descriptor()
		grown := make(map[protoreflect.MessageType]*root, len(*known)+1)
		for k, r := range *known {
			grown[k] = r
		}
		grown[t] = &root{limit: c.limits.of(d.FullName()), shape: compile(d)}
		if c.shapes.CompareAndSwap(known, &grown) {
			return grown[t]
		}
	}
}
