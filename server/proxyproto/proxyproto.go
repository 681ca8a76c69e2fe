// Package proxyproto reads the header of PROXY protocol version 2, by which a load balancer says whose connection it
// passes on (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2.2).
//
// What is guaranteed: Read takes exactly the header's bytes and none after them, at most [MaxSize]; it gives up at the
// first byte that no header can have. A source is a TCP client's, over IPv4 or IPv6, and an address that somebody can
// have. A checksum (PP2_TYPE_CRC32C) is checked where there is one; what else a balancer adds is skipped. No error
// repeats a byte of the header.
//
// What is not: that a header is true. Whoever can connect can send one, so the caller MUST only read it from a balancer
// that it trusts, and MUST NOT look for one anywhere else. Nor is there a deadline here: that is the connection's.
//
// Refused, although the protocol leaves a choice: version 1, which is text; UNIX sockets, datagrams and unknown families
// under the command PROXY, because what they pass on has no address to record, and the balancer's own would be taken for
// the client's. The block of a LOCAL header is skipped unread, as the protocol demands.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
)

// MaxSize is the largest header that is read, in bytes. The protocol allows 64 KiB; balancers send some hundreds.
const MaxSize = 4096

// What a header is refused for.
var (
	// ErrMissing is a connection that does not begin with a header of either version.
	ErrMissing = errors.New("proxyproto: no header")
	// ErrVersion1 is a header of version 1.
	ErrVersion1 = errors.New("proxyproto: version 1")
	// ErrTruncated is a header that broke off.
	ErrTruncated = errors.New("proxyproto: the header breaks off")
	// ErrTooLarge is a header above [MaxSize].
	ErrTooLarge = errors.New("proxyproto: the header is too large")
	// ErrFamily is a header that passes on anything but TCP over IPv4 or IPv6.
	ErrFamily = errors.New("proxyproto: no TCP over IP")
	// ErrChecksum is a header whose bytes are not those that the balancer sent.
	ErrChecksum = errors.New("proxyproto: wrong checksum")
	// ErrMalformed is a header that is wrong in any other way.
	ErrMalformed = errors.New("proxyproto: malformed header")
)

// Header is what a balancer says of a connection.
type Header struct {
	// Local says that the connection is the balancer's own, such as a health check. There is no Source then.
	Local bool
	// Source is the client's end; an IPv4-mapped address as IPv4.
	Source netip.AddrPort
}

const (
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	version1  = "PROXY "
	fixed     = 16 // signature, version and command, family and protocol, length of the rest

	local, proxy = 0x20, 0x21
	tcp4, tcp6   = 0x11, 0x21
	crc32c       = 0x03
)

// Read reads one header and nothing after it.
//
// The error is the reader's own where it fails; io.EOF only where there was not one byte. Otherwise it is one of this
// package. In either case the connection is of no more use.
func Read(r io.Reader) (Header, error) {
	header := make([]byte, fixed)
	for n := 0; n < fixed; {
		read, err := r.Read(header[n:])
		n += read
		if wrong := begins(header[:n]); wrong != nil {
			return Header{}, wrong
		}
		if err != nil && n < fixed {
			return Header{}, brokenOff(err, n)
		}
	}
	size := int(binary.BigEndian.Uint16(header[fixed-2:]))
	if fixed+size > MaxSize {
		return Header{}, ErrTooLarge
	}
	header = append(header, make([]byte, size)...)
	if _, err := io.ReadFull(r, header[fixed:]); err != nil {
		return Header{}, brokenOff(err, fixed)
	}
	return Parse(header)
}

// begins says what is wrong with the first bytes, of which more may come.
func begins(b []byte) error {
	agrees := func(with string) bool {
		n := min(len(b), len(with))
		return string(b[:n]) == with[:n]
	}
	switch {
	case agrees(signature):
		return nil
	case !agrees(version1):
		return ErrMissing
	case len(b) >= len(version1):
		return ErrVersion1
	}
	return nil
}

// brokenOff is the error of a reader that failed after n bytes.
func brokenOff(err error, n int) error {
	if n > 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return ErrTruncated
	}
	return err
}

// Parse reads one whole header. Bytes after it are malformed.
func Parse(header []byte) (Header, error) {
	if len(header) > MaxSize {
		return Header{}, ErrTooLarge
	}
	if err := begins(header); err != nil {
		return Header{}, err
	}
	if len(header) < fixed {
		return Header{}, ErrTruncated
	}
	rest := header[fixed:]
	switch size := int(binary.BigEndian.Uint16(header[fixed-2:])); {
	case len(rest) < size:
		return Header{}, ErrTruncated
	case len(rest) > size:
		return Header{}, malformed("length")
	}
	switch header[12] {
	case local:
		return Header{Local: true}, nil
	case proxy:
		return parseProxy(header)
	}
	return Header{}, malformed("version or command")
}

func malformed(part string) error { return fmt.Errorf("%w: %s", ErrMalformed, part) }

// parseProxy reads the addresses and what follows them.
func parseProxy(header []byte) (Header, error) {
	rest := header[fixed:]
	var width int
	switch header[13] {
	case tcp4:
		width = 4
	case tcp6:
		width = 16
	default:
		return Header{}, ErrFamily
	}
	addresses := 2*width + 4
	if len(rest) < addresses {
		return Header{}, malformed("addresses")
	}
	if err := checkExtras(header, fixed+addresses); err != nil {
		return Header{}, err
	}
	ip, _ := netip.AddrFromSlice(rest[:width])
	if ip = ip.Unmap(); ip.IsUnspecified() || ip.IsMulticast() {
		return Header{}, malformed("source")
	}
	return Header{Source: netip.AddrPortFrom(ip, binary.BigEndian.Uint16(rest[2*width:]))}, nil
}

// checkExtras walks the type-length-value parts from an offset on.
func checkExtras(header []byte, from int) error {
	checked := false
	for at := from; at < len(header); {
		if len(header)-at < 3 {
			return malformed("extras")
		}
		kind, value := header[at], at+3
		size := int(binary.BigEndian.Uint16(header[at+1:]))
		if size > len(header)-value {
			return malformed("extras")
		}
		if kind == crc32c {
			if size != crc32.Size || checked {
				return malformed("checksum")
			}
			if checked = true; sum(header, value) != binary.BigEndian.Uint32(header[value:]) {
				return ErrChecksum
			}
		}
		at = value + size
	}
	return nil
}

// sum is the checksum of a header whose own checksum, at an offset, counts as zeros (section 2.2.3).
func sum(header []byte, at int) uint32 {
	zeroed := bytes.Clone(header)
	clear(zeroed[at : at+crc32.Size])
	return crc32.Checksum(zeroed, crc32.MakeTable(crc32.Castagnoli))
}
