package forward

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

const (
	facility  = 13 // log audit, RFC 5424 section 6.2.1
	timestamp = "2006-01-02T15:04:05.000000Z"
	// maxMessageID is the longest MSGID, RFC 5424 section 6.
	maxMessageID = 32
	gapEvent     = "forward.gap"
)

// priority is PRI without its brackets.
func priority(s record.Severity) int {
	severity := 6
	switch s {
	case record.Notice:
		severity = 5
	case record.Warning:
		severity = 4
	case record.Error:
		severity = 3
	case record.Critical:
		severity = 2
	}
	return facility*8 + severity
}

// appendHeader appends a message up to its structured data.
func appendHeader(b []byte, s record.Severity, at time.Time, node, event string) []byte {
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(priority(s)), 10)
	b = append(b, ">1 "...)
	b = at.UTC().AppendFormat(b, timestamp)
	b = append(b, ' ')
	b = append(b, node...)
	b = append(b, " heyan - "...)
	b = append(b, event[:min(len(event), maxMessageID)]...)
	return append(b, ' ')
}

// appendParam appends one parameter of structured data, escaped as RFC 5424 section 6.3.3 asks. An empty one is left
// out.
func appendParam(b []byte, name, value string) []byte {
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

// appendRecord appends the message of a record.
func appendRecord(b []byte, node, origin string, index uint64, r *record.Record, text []byte) []byte {
	b = appendHeader(b, r.Severity, r.Time, node, r.Event.String())
	b = append(b, "[heyan@32473"...)
	b = appendParam(b, "origin", origin)
	b = appendParam(b, "index", strconv.FormatUint(index, 10))
	b = appendParam(b, "category", r.Category.String())
	if r.Actor.Kind != 0 {
		b = appendParam(b, "actor_kind", r.Actor.Kind.String())
	}
	b = appendParam(b, "actor", r.Actor.ID)
	b = appendParam(b, "outcome", r.Outcome.Kind.String())
	b = appendParam(b, "source", address(&r.Source))
	b = appendParam(b, "action", r.Action)
	b = append(b, "] "...)
	return append(b, text...)
}

// address is an address with its port, or a prefix where the record counts many addresses as one.
func address(p *record.Peer) string {
	switch {
	case !p.IP.IsValid():
		return ""
	case p.PrefixBits > 0:
		return netip.PrefixFrom(p.IP, int(p.PrefixBits)).String()
	case p.Port > 0:
		return netip.AddrPortFrom(p.IP, p.Port).String()
	}
	return p.IP.String()
}

// appendGap appends the message of a gap.
func appendGap(b []byte, node, origin string, at time.Time, g gap) []byte {
	from, to := strconv.FormatUint(g.from, 10), strconv.FormatUint(g.to, 10)
	b = appendHeader(b, record.Warning, at, node, gapEvent)
	b = append(b, "[heyan-gap@32473"...)
	b = appendParam(b, "origin", origin)
	b = appendParam(b, "from", from)
	b = appendParam(b, "to", to)
	b = append(b, "] "...)
	// An origin is a node's name and hexadecimal digits: nothing in it needs escaping.
	return append(b, `{"origin":"`+origin+`","gap":{"from":`+from+`,"to":`+to+`}}`...)
}

// appendLength appends what stands in front of a message of n octets, RFC 5425 section 4.3.
func appendLength(b []byte, n int) []byte {
	return append(strconv.AppendInt(b, int64(n), 10), ' ')
}
