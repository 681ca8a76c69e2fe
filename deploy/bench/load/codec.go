package main

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/heyan-project/heyan/deploy/bench/internal/job"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// wire is a codec for requests that are encoded already and answers that are mostly not decoded.
type wire struct{}

// outgoing is one request, on its way to the transport.
type outgoing struct{ buffer mem.Buffer }

// incoming is where an answer is put. Without decode only its length is looked at.
type incoming struct {
	decode proto.Message
	bytes  int
}

// Name implements encoding.CodecV2.
func (wire) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (wire) Marshal(v any) (mem.BufferSlice, error) {
	request, ok := v.(*outgoing)
	if !ok {
		return nil, fmt.Errorf("cannot send a %T", v)
	}
	return mem.BufferSlice{request.buffer}, nil
}

// Unmarshal implements encoding.CodecV2.
func (wire) Unmarshal(data mem.BufferSlice, v any) error {
	answer, ok := v.(*incoming)
	if !ok {
		return fmt.Errorf("cannot receive a %T", v)
	}
	answer.bytes = data.Len()
	if answer.decode == nil {
		return nil
	}
	return proto.Unmarshal(data.Materialize(), answer.decode)
}

// verdictsOf lists what an answer says of its items: verdicts, or failures.
func verdictsOf(m proto.Message, verdict, failure func(string)) {
	one := func(r *heyanv1.VerifyResponse) {
		if r.GetVerification() == nil {
			failure("EMPTY_ANSWER")
			return
		}
		verdict(r.GetVerification().GetVerdict().String())
	}
	switch m := m.(type) {
	case *heyanv1.VerifyResponse:
		one(m)
	case *heyanv1.BatchVerifyResponse:
		for _, item := range m.GetItems() {
			if item.GetStatus() != nil {
				failure(item.GetStatus().GetMessage())
				continue
			}
			one(item.GetResponse())
		}
	}
}

var errRequests = errors.New("not a file of length-delimited requests")

// template is an encoded request and where its ids stand.
type template struct {
	body []byte
	ids  []int
}

// templates cuts a file of length-delimited requests into batches of n; 0 = single requests.
func templates(file []byte, n int) ([]template, error) {
	var all []template
	var current template
	items := 0
	for len(file) > 0 {
		length, prefix := consumeLength(file)
		if prefix <= 0 || uint64(len(file)-prefix) < length {
			return nil, errRequests
		}
		request := file[prefix : prefix+int(length)]
		if n > 0 {
			// BatchVerifyRequest.requests is field 1, and its encoding is that of the file behind the tag.
			current.body = append(append(current.body, 0x0a), file[:prefix]...)
		}
		at := len(current.body)
		current.body = append(current.body, request...)
		for _, id := range placeholders(request) {
			current.ids = append(current.ids, at+id)
		}
		file = file[prefix+int(length):]
		if items++; items >= n {
			all = append(all, current)
			current, items = template{}, 0
		}
	}
	if len(all) == 0 {
		return nil, errRequests
	}
	return all, nil
}

// fill copies a template and writes ids over its placeholders: the run, and numbers from first on, one an item.
func (t *template) fill(run string, first int64, perItem int) *outgoing {
	pool := mem.DefaultBufferPool()
	b := pool.Get(len(t.body))
	copy(*b, t.body)
	for i, at := range t.ids {
		id := (*b)[at : at+job.IDLength]
		copy(id, run)
		n := first + int64(i/perItem)
		for k := job.IDLength - 1; k > len(run); k-- {
			id[k] = byte('0' + n%10)
			n /= 10
		}
	}
	return &outgoing{mem.NewBuffer(b, pool)}
}
