package codec

import (
	"bytes"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/heyan-project/heyan/verifier/fault"
)

// A mark is an unknown field of the message: the largest number there is, length-delimited, holding a
// finding. A caller cannot forge one, since a message that came with any unknown field has a finding
// already. It costs a clean message nothing to carry none, and needs no table beside the message.
const markNumber = protowire.MaxValidNumber

// markTag is the tag of a mark.
var markTag = protowire.AppendTag(nil, markNumber, protowire.BytesType)

// mark empties m and leaves the finding in it.
func mark(m proto.Message, f finding) {
	proto.Reset(m)
	var body [128]byte
	b := append(make([]byte, 0, 128), markTag...)
	m.ProtoReflect().SetUnknown(protowire.AppendBytes(b, f.append(body[:0])))
}

// Finding returns what was wrong with the bytes of a message that a [Codec] decoded, as a new fault, or nil
// where nothing was: REQUEST_TOO_LARGE with metadata limit_bytes, REQUEST_MALFORMED or
// FIELD_OUTSIDE_CEILING with one violation, whose cause is one of the Cause constants. A violation names a
// member by its path, "requests[3].fields.name"; for an unknown field the message that holds it, by its path
// or, at the top, by the name of its type. No part of it is chosen by the caller.
//
// A message that has unknown fields but did not come from a Codec answers INTERNAL: the server is assembled
// wrongly, and must not serve it.
func Finding(m proto.Message) *fault.Fault {
	unknown := m.ProtoReflect().GetUnknown()
	if len(unknown) == 0 {
		return nil
	}
	f, ok := marked(unknown)
	if !ok {
		return fault.New(fault.InternalError)
	}
	if f.reason == fault.RequestTooLarge {
		return fault.New(f.reason).With("limit_bytes", strconv.Itoa(f.limit))
	}
	return fault.New(f.reason).WithField(f.path, f.cause)
}

// marked reads a mark from the unknown fields of a message.
func marked(unknown []byte) (f finding, ok bool) {
	content, ok := bytes.CutPrefix(unknown, markTag)
	if !ok {
		return f, false
	}
	body, n := protowire.ConsumeBytes(content)
	return f, n == len(content) && f.parse(body)
}

// Size returns how many bytes a message had as it came in, also one that was replaced by a finding.
func Size(m proto.Message) int {
	if m == nil {
		return 0
	}
	if unknown := m.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		if f, ok := marked(unknown); ok {
			return f.size
		}
	}
	return proto.Size(m)
}
