package netlog

import (
	"cmp"
	"context"
	"errors"
	"net/netip"

	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/segment"
)

// What segments can be searched by. The numbers are part of the format.
const (
	byActor   byte = iota + 1 // id, or on whose behalf
	bySource                  // address
	byNetwork                 // /24 of an IPv4 address, /64 of an IPv6 one
	byCounted                 // the prefix of a record that counts many addresses, cut to a network where it is longer
	byMethod
	byEvent
	byOutcome
	byReason
	byProduct
	byVerification
	bySession
)

// network returns the network that addresses are indexed by beside themselves.
func network(ip netip.Addr) netip.Prefix {
	p, _ := ip.Prefix(networkBits(ip)) // within the address's length
	return p
}

func networkBits(ip netip.Addr) int {
	if ip.Is4() {
		return 24
	}
	return 64
}

// appendTokens appends what a record can be found by.
func appendTokens(dst []segment.Token, r *record.Record) []segment.Token {
	add := func(kind byte, value string) {
		if value != "" {
			dst = append(dst, segment.TokenOf(kind, value))
		}
	}
	add(byActor, r.Actor.ID)
	add(byActor, r.Actor.OnBehalfOf)
	if ip := r.Source.IP; ip.IsValid() {
		switch bits := int(r.Source.PrefixBits); {
		case bits == 0 || bits == ip.BitLen():
			add(bySource, ip.String())
			add(byNetwork, network(ip).String())
		default:
			add(byCounted, netip.PrefixFrom(ip, min(bits, networkBits(ip))).Masked().String())
			if bits >= networkBits(ip) {
				add(byNetwork, network(ip).String())
			}
		}
	}
	add(byMethod, r.Action)
	add(byEvent, r.Event.String())
	add(byOutcome, r.Outcome.Kind.String())
	add(byReason, r.Outcome.Reason)
	if r.Processing != nil {
		add(byProduct, r.Processing.Product)
	}
	if r.Object.Type == "verification" {
		add(byVerification, r.Object.ID)
	}
	add(bySession, r.Session)
	return dst
}

// tokens returns what a matching record has: of each row at least one.
func (q *Query) tokens() [][]segment.Token {
	var rows [][]segment.Token
	add := func(kind byte, value string) {
		if value != "" {
			rows = append(rows, []segment.Token{segment.TokenOf(kind, value)})
		}
	}
	add(byVerification, q.Verification)
	add(bySession, q.Session)
	add(byActor, q.Client)
	add(byActor, q.Actor)
	if row := sourceTokens(q.Source); row != nil {
		rows = append(rows, row)
	}
	add(byMethod, q.Method)
	if q.Event != 0 {
		add(byEvent, q.Event.String())
	}
	if q.Outcome != 0 {
		add(byOutcome, q.Outcome.String())
	}
	add(byReason, q.Reason)
	add(byProduct, q.Product)
	return rows
}

// sourceTokens returns what the records have one of that an address or prefix may match: see Query.matchSource. A prefix
// shorter than a network has none: every frame is read.
func sourceTokens(p netip.Prefix) []segment.Token {
	if !p.IsValid() || p.Bits() < networkBits(p.Addr()) {
		return nil
	}
	var row []segment.Token
	for bits := range networkBits(p.Addr()) + 1 {
		row = append(row, segment.TokenOf(byCounted, netip.PrefixFrom(p.Addr(), bits).Masked().String()))
	}
	if p.IsSingleIP() {
		return append(row, segment.TokenOf(bySource, p.Addr().String()))
	}
	return append(row, segment.TokenOf(byNetwork, network(p.Addr()).String()))
}

// Search calls fn with the durable records of [from, to) that pass the filter, in order. leaf and r are valid during the
// call. In segments it reads the frames that may hold one, and no other. It ends as [Reader.Read] does, and where a record
// that may pass cannot be read by this version.
func (r *Reader) Search(ctx context.Context, q *Query, from, to uint64, fn func(index uint64, leaf []byte, rec *record.Record) error) error {
	to = min(to, r.Size())
	sieve := q.sieve()
	pass := func(index uint64, leaf []byte) error {
		if !sieve.passes(leaf) {
			return nil
		}
		rec, err := record.Parse(leaf)
		if err != nil {
			return err
		}
		if !q.Match(&rec) {
			return nil
		}
		return fn(index, leaf, &rec)
	}
	tokens := q.tokens()
	for from < to {
		s := r.findSealed(from)
		if s == nil {
			return r.Read(ctx, from, to, pass)
		}
		if err := r.searchSealed(ctx, s, q, tokens, from, min(to, s.End), pass); err != nil {
			if errors.Is(err, errGone) {
				_, purged := r.goneTo(from)
				err = cmp.Or(purged, err)
			}
			return err
		}
		from = s.End
	}
	return nil
}

func (r *Reader) searchSealed(ctx context.Context, s *sealedPart, q *Query, tokens [][]segment.Token, from, to uint64, fn func(uint64, []byte) error) error {
	if !q.To.IsZero() && !s.Oldest.Before(q.To) || !q.From.IsZero() && s.Latest.Before(q.From) {
		return nil
	}
	f, err := r.segments.acquire(s.path)
	if err != nil {
		return gone(err)
	}
	defer r.segments.release(s.path)
	frames, err := f.Candidates(tokens)
	if err != nil {
		return err
	}
	var buffer segment.Buffer
	defer buffer.Release()
	for _, i := range frames {
		first := s.First + uint64(i)*segment.FrameRecords
		if first >= to || first+segment.FrameRecords <= from || !f.Within(i, q.From, q.To) {
			continue
		}
		if _, err := readFrames(ctx, f, &buffer, max(first, from), min(first+segment.FrameRecords, to), fn); err != nil {
			return err
		}
	}
	return nil
}
