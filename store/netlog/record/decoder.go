package record

import (
	"encoding/binary"
	"net/netip"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// decoder walks over a record and the messages in it, one at a time, and keeps the first error. It reads a string, so
// that every text of the record is a part of that string and costs nothing.
type decoder struct {
	s   string
	at  int // where the next byte is
	err error
	level
}

// level is the message that is being read.
type level struct {
	end      int // where it ends in the whole record
	num      protowire.Number
	typ      protowire.Type
	repeated bool // the current field may come again
}

func (d *decoder) fail(part string) {
	if d.err == nil {
		d.err = invalid(part)
	}
}

// next moves to the next field. Fields MUST ascend; only a repeated one may follow itself.
func (d *decoder) next() bool {
	if d.err != nil || d.at == d.end {
		return false
	}
	tag, ok := d.varint()
	num := protowire.Number(tag >> 3)
	if !ok || tag > uint64(protowire.MaxValidNumber)<<3|7 || num < protowire.MinValidNumber {
		d.fail("malformed tag")
		return false
	}
	if num < d.num || num == d.num && !d.repeated {
		d.fail("field order")
		return false
	}
	d.num, d.typ, d.repeated = num, protowire.Type(tag&7), false
	return true
}

// varint reads a varint in its shortest form.
func (d *decoder) varint() (v uint64, ok bool) {
	if d.at < d.end && d.s[d.at] < 0x80 { // nearly always
		v = uint64(d.s[d.at])
		d.at++
		return v, true
	}
	for shift := 0; shift < 64 && d.at < d.end; shift += 7 {
		b := d.s[d.at]
		d.at++
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			// A last byte of zero says nothing: there is a shorter form. The tenth byte has room for one bit.
			return v, b != 0 && (shift < 63 || b == 1)
		}
	}
	return 0, false
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
	v, ok := d.varint()
	if !ok || v == 0 {
		d.fail("varint")
		return 0
	}
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
	if d.end-d.at < 8 {
		d.fail("time")
		return time.Time{}
	}
	var b [8]byte
	copy(b[:], d.s[d.at:])
	v := binary.LittleEndian.Uint64(b[:])
	if v == 0 || v >= 1<<63-1 {
		d.fail("time")
		return time.Time{}
	}
	d.at += 8
	return time.Unix(0, int64(v)).UTC()
}

// size reads the length of a field, which is there.
func (d *decoder) size() int {
	if !d.want(protowire.BytesType) {
		return 0
	}
	n, ok := d.varint()
	if !ok || n > uint64(d.end-d.at) {
		d.fail("length")
		return 0
	}
	return int(n)
}

// bytes reads a field of bytes, as a part of the record's string.
func (d *decoder) bytes() string {
	n := d.size()
	v := d.s[d.at : d.at+n]
	d.at += n
	return v
}

// text reads a string, which is not empty. What may be in it, the record's validation says.
func (d *decoder) text() string {
	v := d.bytes()
	if v == "" {
		d.fail("text")
	}
	return v
}

func (d *decoder) repeatedText() string {
	d.repeated = true
	return d.text()
}

// address reads an address in its one spelling, without a zone.
func (d *decoder) address() netip.Addr {
	text := d.text()
	ip, err := netip.ParseAddr(text)
	var buf [64]byte
	if err != nil || ip.Zone() != "" || ip.Is4In6() || string(ip.AppendTo(buf[:0])) != text {
		d.fail("ip")
	}
	return ip
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

// enter begins the message that the current field holds, and returns the one around it for [decoder.leave].
func (d *decoder) enter() (outer level) {
	n := d.size()
	outer = d.level
	d.level = level{end: d.at + n}
	return outer
}

// leave goes back to the message around the one that was read to its end.
func (d *decoder) leave(outer level) { d.level = outer }

func (d *decoder) pair(first, second *string) {
	outer := d.enter()
	for d.next() {
		switch d.num {
		case 1:
			*first = d.text()
		case 2:
			*second = d.text()
		default:
			d.fail("unknown field")
		}
	}
	d.leave(outer)
}
