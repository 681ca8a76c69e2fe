// Package proxytest is a load balancer for tests: it writes headers of PROXY protocol version 2, right and wrong ones,
// and passes connections on. It shares no code with the reader.
package proxytest

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// Commands and families, as they stand in a header.
const (
	Local, Proxy                   = 0x20, 0x21
	Unspecified, TCP4, TCP6        = 0x00, 0x11, 0x21
	UDP4, UDP6, UnixStream         = 0x12, 0x22, 0x31
	TypeAuthority, TypeCRC, TypeNo = 0x02, 0x03, 0x04
)

// Raw is a header of any parts.
func Raw(command, family byte, rest []byte) []byte {
	header := append([]byte(signature), command, family)
	header = binary.BigEndian.AppendUint16(header, uint16(len(rest)))
	return append(header, rest...)
}

// Addresses is the block of a TCP connection from one end to the other, of one family.
func Addresses(source, destination netip.AddrPort) []byte {
	b := append(source.Addr().AsSlice(), destination.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, source.Port())
	return binary.BigEndian.AppendUint16(b, destination.Port())
}

// Extra is one type-length-value part.
func Extra(kind byte, value []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))
	return append(b, value...)
}

// From is the header of a client's connection, with further parts.
func From(source string, extras ...[]byte) []byte {
	client := netip.MustParseAddrPort(source)
	family, rest := byte(TCP4), Addresses(client, netip.MustParseAddrPort("198.51.100.1:443"))
	if client.Addr().Is6() {
		family, rest = TCP6, Addresses(client, netip.MustParseAddrPort("[2001:db8::443]:443"))
	}
	for _, extra := range extras {
		rest = append(rest, extra...)
	}
	return Raw(Proxy, family, rest)
}

// WithChecksum appends a right checksum to a header.
func WithChecksum(header []byte) []byte {
	header = Raw(header[12], header[13], append(header[16:len(header):len(header)], Extra(TypeCRC, make([]byte, 4))...))
	sum := crc32.Checksum(header, crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(header[len(header)-4:], sum)
	return header
}

// Version1 is a header in text.
const Version1 = "PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\r\n"

// Balancer passes connections on to a server, each after a header.
type Balancer struct {
	Address string // where clients connect
	Via     netip.Addr
}

// Start starts a balancer that connects to a server from an address of loopback; header makes what each connection
// begins with. It ends with the test, which is skipped where the machine does not have the address.
func Start(t testing.TB, server, from string, header func() []byte) *Balancer {
	t.Helper()
	b := &Balancer{Via: netip.MustParseAddr(from)}
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(b.Via, 0))}
	probe, err := net.ListenTCP("tcp", dialer.LocalAddr.(*net.TCPAddr))
	if err != nil {
		t.Skip("this machine's loopback has one address only")
	}
	_ = probe.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.Address = listener.Addr().String()
	var open sync.WaitGroup
	open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { pass(dialer, server, client, header()) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); open.Wait() })
	return b
}

// pass copies both ways until one end closes.
func pass(dialer net.Dialer, to string, client net.Conn, header []byte) {
	defer client.Close()
	server, err := dialer.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	if _, err := server.Write(header); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
	_, _ = io.Copy(server, client)
	_ = server.Close()
	back.Wait()
}
