package transport

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
)

// Cause is why a connection did not become a session, of a closed list. The zero Cause is invalid.
type Cause uint8

// The causes.
const (
	Plaintext          Cause = iota + 1 // the first bytes are no TLS: HTTP/1, an HTTP/2 preface, anything else
	NoSharedVersion                     // the client only speaks versions below the lowest
	NoSharedProtocol                    // the client does not offer h2
	BadCertificate                      // the client's certificate is not for this use, or its proof is wrong
	ExpiredCertificate                  // the client's certificate is not valid now
	UnknownCA                           // the client's certificate is of a CA that is not in the pool
	Rejected                            // the client sent an alert: mostly, it does not trust the server's certificate
	Overloaded                          // no slot came free in time
	Timeout                             // the client was too slow
	Closed                              // the client went away
	Other                               // anything else, such as bytes that break off from TLS later

	// Of connections from a trusted proxy, see package proxyproto.
	Probe          // the proxy's own, which it closed before it sent a byte of TLS: a health check, and no failure
	ProxyMissing   // there is no header
	ProxyVersion1  // a header of version 1, in text
	ProxyTruncated // the header breaks off
	ProxyOversized // the header is too large
	ProxyFamily    // the header passes on something else than TCP over IP
	ProxyChecksum  // the header's checksum is wrong
	ProxyMalformed // the header is wrong in any other way
	ProxyTimeout   // the header did not come in time
)

var causeNames = [...]string{
	Plaintext: "plaintext", NoSharedVersion: "no_shared_version", NoSharedProtocol: "no_shared_protocol",
	BadCertificate: "bad_certificate", ExpiredCertificate: "expired_certificate", UnknownCA: "unknown_ca",
	Rejected: "rejected", Overloaded: "overloaded", Timeout: "timeout", Closed: "closed", Other: "other",
	Probe: "probe", ProxyMissing: "proxy_header_missing", ProxyVersion1: "proxy_header_v1", ProxyTruncated: "proxy_header_truncated",
	ProxyOversized: "proxy_header_oversized", ProxyFamily: "proxy_header_family", ProxyChecksum: "proxy_header_checksum",
	ProxyMalformed: "proxy_header_malformed", ProxyTimeout: "proxy_header_timeout",
}

// Causes lists all causes, for labels of metrics.
func Causes() []Cause {
	all := make([]Cause, 0, len(causeNames)-1)
	for c := Plaintext; int(c) < len(causeNames); c++ {
		all = append(all, c)
	}
	return all
}

// String returns the name in lower case with underscores, such as "unknown_ca".
func (c Cause) String() string {
	if c == 0 || int(c) >= len(causeNames) {
		return "invalid"
	}
	return causeNames[c]
}

// causeOf says why a handshake over w failed with err.
func causeOf(w *wire, err error) Cause {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return Timeout
	}
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return certificateCause(verification.Err)
	}
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil {
		return Plaintext // crypto/tls hands the connection back only if the very first record is none
	}
	var op *net.OpError
	if errors.As(err, &op) {
		if op.Op == "remote error" { // how crypto/tls reports an alert
			return Rejected
		}
		return Closed
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Closed
	case w.noVersion:
		return NoSharedVersion
	case w.noProtocol:
		return NoSharedProtocol
	case strings.Contains(err.Error(), "client certificate"):
		// The words of crypto/tls for a certificate that cannot be read, or whose key did not sign.
		return BadCertificate
	}
	return Other
}

func certificateCause(err error) Cause {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return ExpiredCertificate
	case errors.As(err, &unknown):
		return UnknownCA
	}
	return BadCertificate
}

// refusedCertificate is the fingerprint of the certificate that did not verify, or empty.
func refusedCertificate(err error) string {
	var verification *tls.CertificateVerificationError
	if !errors.As(err, &verification) || len(verification.UnverifiedCertificates) == 0 {
		return ""
	}
	sum := sha256.Sum256(verification.UnverifiedCertificates[0].Raw)
	return hex.EncodeToString(sum[:])
}
