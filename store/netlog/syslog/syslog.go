// Package syslog writes the messages of RFC 5424 that Heyan sends to collectors, and frames them for TLS as RFC 5425 asks.
//
// Guaranteed: a message has the form of RFC 5424, section 6, whatever bytes a parameter's value holds. Not guaranteed: that
// a collector takes messages of that length, or keeps them: syslog has no acknowledgement.
package syslog

import (
	"strconv"
	"strings"
	"time"
)

const (
	// Critical and the others are severities, RFC 5424, section 6.2.1.
	Critical = 2
	Error    = 3
	Warning  = 4
	Notice   = 5
	Info     = 6

	// MaxMessageID is the longest MSGID, RFC 5424, section 6, in bytes. A longer one is cut.
	MaxMessageID = 32

	facility  = 13 // log audit
	timestamp = "2006-01-02T15:04:05.000000Z"
)

// AppendHeader appends a message up to its structured data. node and id MUST be printable ASCII without space.
func AppendHeader(b []byte, severity int, at time.Time, node, id string) []byte {
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(facility*8+severity), 10)
	b = append(b, ">1 "...)
	b = at.UTC().AppendFormat(b, timestamp)
	b = append(b, ' ')
	b = append(b, node...)
	b = append(b, " heyan - "...)
	b = append(b, id[:min(len(id), MaxMessageID)]...)
	return append(b, ' ')
}

// AppendParam appends one parameter of structured data, escaped as section 6.3.3 asks. An empty one is left out.
func AppendParam(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, `="`...)
	for _, c := range []byte(strings.ToValidUTF8(value, "\uFFFD")) {
		if c == '"' || c == '\\' || c == ']' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return append(b, '"')
}

// AppendLength appends what stands before a message of n bytes: octet counting, RFC 5425, section 4.3.
func AppendLength(b []byte, n int) []byte {
	return append(strconv.AppendInt(b, int64(n), 10), ' ')
}
