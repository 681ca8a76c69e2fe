package forward

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/syslog"
)

const gapEvent = "forward.gap"

// severity is the syslog severity of a record.
func severity(s record.Severity) int {
	switch s {
	case record.Notice:
		return syslog.Notice
	case record.Warning:
		return syslog.Warning
	case record.Error:
		return syslog.Error
	case record.Critical:
		return syslog.Critical
	}
	return syslog.Info
}

// appendRecord appends the message of a record.
func appendRecord(b []byte, node, origin string, index uint64, r *record.Record, text []byte) []byte {
	b = syslog.AppendHeader(b, severity(r.Severity), r.Time, node, r.Event.String())
	b = append(b, "[heyan@32473"...)
	b = syslog.AppendParam(b, "origin", origin)
	b = syslog.AppendParam(b, "index", strconv.FormatUint(index, 10))
	b = syslog.AppendParam(b, "category", r.Category.String())
	if r.Actor.Kind != 0 {
		b = syslog.AppendParam(b, "actor_kind", r.Actor.Kind.String())
	}
	b = syslog.AppendParam(b, "actor", r.Actor.ID)
	b = syslog.AppendParam(b, "outcome", r.Outcome.Kind.String())
	b = syslog.AppendParam(b, "source", address(&r.Source))
	b = syslog.AppendParam(b, "action", r.Action)
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
	b = syslog.AppendHeader(b, syslog.Warning, at, node, gapEvent)
	b = append(b, "[heyan-gap@32473"...)
	b = syslog.AppendParam(b, "origin", origin)
	b = syslog.AppendParam(b, "from", from)
	b = syslog.AppendParam(b, "to", to)
	b = append(b, "] "...)
	// An origin is a node's name and hexadecimal digits: nothing in it needs escaping.
	return append(b, `{"origin":"`+origin+`","gap":{"from":`+from+`,"to":`+to+`}}`...)
}
