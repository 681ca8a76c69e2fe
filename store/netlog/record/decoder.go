package record

import (
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// decoder walks the fields of one message and keeps the first error.
type decoder struct {
	b        []byte // what is left
	num      protowire.Number
	typ      protowire.Type
	repeated bool // the current field may come again
	err      error
}

func (d *decoder) fail(part string) {
	if d.err == nil {
		d.err = invalid(part)
	}
}

// next moves to the next field. Fields MUST ascend; only a repeated one may follow itself.
func (d *decoder) next() bool {
	if d.err != nil || len(d.b) == 0 {
		return false
	}
	num, typ, n := protowire.ConsumeTag(d.b)
	if n < 0 || n != protowire.SizeTag(num) {
		d.fail("malformed tag")
		return false
	}
	if num < d.num || num == d.num && !d.repeated {
		d.fail("field order")
		return false
	}
	d.b, d.num, d.typ, d.repeated = d.b[n:], num, typ, false
	return true
}

func (d *decoder) want(t protowire.Type) bool {
	if d.err == nil && d.typ != t {
		d.fail("wire type")
	}
	return d.err == nil
}

// uint reads a varint; zero and long forms do not occur in the canonical form.
func (d *decoder) uint() uint64 {
	if !d.want(protowire.VarintType) {
		return 0
	}
	v, n := protowire.ConsumeVarint(d.b)
	if n < 0 || v == 0 || n != protowire.SizeVarint(v) {
		d.fail("varint")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) atMost(limit uint64) uint64 {
	v := d.uint()
	if v > limit {
		d.fail("number too large")
		return 0
	}
	return v
}

func (d *decoder) small() uint8 { return uint8(d.atMost(255)) }
func (d *decoder) port() uint16 { return uint16(d.atMost(65535)) }
func (d *decoder) flag() bool   { return d.atMost(1) == 1 }

func (d *decoder) time() time.Time {
	if !d.want(protowire.Fixed64Type) {
		return time.Time{}
	}
	v, n := protowire.ConsumeFixed64(d.b)
	if n < 0 || v == 0 || v >= 1<<63-1 {
		d.fail("time")
		return time.Time{}
	}
	d.b = d.b[n:]
	return time.Unix(0, int64(v)).UTC()
}

func (d *decoder) bytes() []byte {
	if !d.want(protowire.BytesType) {
		return nil
	}
	v, n := protowire.ConsumeBytes(d.b)
	if n < 0 || n != protowire.SizeBytes(len(v)) {
		d.fail("length")
		return nil
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) text() string {
	v := d.bytes()
	if len(v) == 0 || !utf8.Valid(v) {
		d.fail("text")
		return ""
	}
	return string(v)
}

func (d *decoder) repeatedText() string {
	d.repeated = true
	return d.text()
}

// array reads bytes of exactly len(dst), not all zero.
func (d *decoder) array(dst []byte) {
	v := d.bytes()
	if len(v) != len(dst) {
		d.fail("length")
		return
	}
	copy(dst, v)
	for _, x := range dst {
		if x != 0 {
			return
		}
	}
	d.fail("empty bytes")
}

func (d *decoder) message(field func(*decoder)) {
	sub := decoder{b: d.bytes()}
	for sub.next() {
		field(&sub)
	}
	if d.err == nil {
		d.err = sub.err
	}
}

func (d *decoder) pair(first, second *string) {
	d.message(func(sub *decoder) {
		switch sub.num {
		case 1:
			*first = sub.text()
		case 2:
			*second = sub.text()
		default:
			sub.fail("unknown field")
		}
	})
}
