package record

import (
	"net/netip"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Append appends the record's bytes to dst and returns the extended slice. It does not keep dst or r, and allocates
// only when dst is too small, so callers pool dst.
//
// On error dst is returned as it was: [ErrInvalid] (with the part's name, never its content) or [ErrTooLarge].
func Append(dst []byte, r *Record) ([]byte, error) {
	category, severity := r.Category, r.Severity
	if category == 0 {
		category = r.Event.Category()
	}
	if severity == 0 {
		severity = r.Event.Severity()
	}
	if err := r.validate(category, severity); err != nil {
		return dst, err
	}
	b := appendFixed(dst, 1, uint64(r.Time.UnixNano()))
	if r.Clock != (Clock{}) {
		b = r.Clock.append(b, 2)
	}
	b = appendUint(b, 3, uint64(category))
	b = appendText(b, 4, r.Event.String())
	b = appendUint(b, 5, uint64(severity))
	if r.Actor != (Actor{}) {
		b = r.Actor.append(b, 6)
	}
	b = appendText(b, 7, r.Session)
	if r.TraceID != ([16]byte{}) {
		b = appendBytes(b, 8, r.TraceID[:])
	}
	for i, p := range [...]*Peer{&r.Source, &r.Destination, &r.Via} {
		if *p != (Peer{}) {
			b = p.append(b, protowire.Number(9+i))
		}
	}
	if r.Protocol != (Protocol{}) {
		b = r.Protocol.append(b, 12)
	}
	b = appendText(b, 13, r.Action)
	if r.Object != (Object{}) {
		b = appendPair(b, 14, r.Object.Type, r.Object.ID)
	}
	b = r.Outcome.append(b, 15)
	if r.Traffic != (Traffic{}) {
		b = r.Traffic.append(b, 16)
	}
	b = r.appendParts(b)
	if len(b)-len(dst) > MaxSize {
		return dst, ErrTooLarge
	}
	return b, nil
}

// appendParts appends the parts that only some events have.
func (r *Record) appendParts(b []byte) []byte {
	if r.Processing != nil {
		b = r.Processing.append(b, 17)
	}
	if r.Commitment != ([32]byte{}) {
		b = appendBytes(b, 18, r.Commitment[:])
	}
	if r.Change != nil {
		b = r.Change.append(b, 19)
	}
	if r.Security != nil {
		b = r.Security.append(b, 20)
	}
	if r.Tally != nil {
		b = r.Tally.append(b, 21)
	}
	if r.Birth != nil {
		b = r.Birth.append(b, 22)
	}
	if r.Recovery != nil {
		b = r.Recovery.append(b, 23)
	}
	if r.LogAccess != nil {
		b = r.LogAccess.append(b, 24)
	}
	if r.Status != nil {
		b = r.Status.append(b, 25)
	}
	if r.Purge != nil {
		b = r.Purge.append(b, 26)
	}
	if r.Totals != nil {
		b = r.Totals.append(b, 27)
	}
	return b
}

func (c Clock) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendUint(b, 1, uint64(c.State))
	b = appendUint(b, 2, protowire.EncodeZigZag(int64(c.Offset)))
	return closeAt(b, at)
}

func (a *Actor) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendUint(b, 1, uint64(a.Kind))
	b = appendText(b, 2, a.ID)
	b = appendText(b, 3, a.Role)
	b = appendText(b, 4, a.Credential)
	b = appendText(b, 5, a.AuthMethod)
	b = appendText(b, 6, a.OnBehalfOf)
	return closeAt(b, at)
}

func (p *Peer) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	if p.IP.IsValid() {
		var ip netip.Addr
		b, ip = protowire.AppendTag(b, 1, protowire.BytesType), p.IP.Unmap().WithZone("")
		start := len(b)
		b = ip.AppendTo(append(b, 0))
		b[start] = byte(len(b) - start - 1) // an address is shorter than 128 bytes
	}
	b = appendUint(b, 2, uint64(p.Port))
	b = appendUint(b, 3, uint64(p.PrefixBits))
	b = appendText(b, 4, p.Name)
	b = appendText(b, 5, p.Certificate)
	return closeAt(b, at)
}

func (p *Protocol) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendText(b, 1, p.TLSVersion)
	b = appendText(b, 2, p.Cipher)
	b = appendText(b, 3, p.ServerName)
	b = appendText(b, 4, p.UserAgent)
	return closeAt(b, at)
}

func (o *Outcome) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendUint(b, 1, uint64(o.Kind))
	b = appendUint(b, 2, uint64(o.Code))
	b = appendText(b, 3, o.Reason)
	return closeAt(b, at)
}

func (t *Traffic) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendUint(b, 1, t.BytesIn)
	b = appendUint(b, 2, t.BytesOut)
	b = appendUint(b, 3, t.MessagesIn)
	b = appendUint(b, 4, t.MessagesOut)
	b = appendUint(b, 5, uint64(t.Duration))
	return closeAt(b, at)
}

func (p *Processing) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendText(b, 1, p.Product)
	b = appendText(b, 2, p.Purpose)
	b = appendTexts(b, 3, p.Fields)
	b = appendText(b, 4, p.LegalBasis)
	b = appendText(b, 5, p.ConsentUse)
	b = appendText(b, 6, p.PolicyVersion)
	b = appendText(b, 7, p.Verdict)
	b = appendText(b, 8, p.Source)
	b = appendTime(b, 9, p.AsOf)
	b = appendText(b, 10, p.Dataset)
	b = appendText(b, 11, p.Billing)
	b = appendUint(b, 12, protowire.EncodeBool(p.Reused))
	b = appendUint(b, 13, protowire.EncodeBool(p.Test))
	return closeAt(b, at)
}

func (c *Change) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendText(b, 1, c.Before)
	b = appendText(b, 2, c.After)
	b = appendText(b, 3, c.Diff)
	for _, d := range c.Digests {
		b = appendPair(b, 4, d.Name, d.Value)
	}
	return closeAt(b, at)
}

func (s *Security) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendText(b, 1, s.Attack)
	b = appendText(b, 2, s.Target)
	b = appendText(b, 3, s.Rule)
	b = appendUint(b, 4, s.Count)
	b = appendUint(b, 5, s.Limit)
	b = appendUint(b, 6, uint64(s.Window))
	return closeAt(b, at)
}

func (t *Tally) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendUint(b, 1, t.Count)
	b = appendTime(b, 2, t.First)
	b = appendTime(b, 3, t.Last)
	b = appendUint(b, 4, uint64(t.FirstPort))
	b = appendUint(b, 5, uint64(t.LastPort))
	return closeAt(b, at)
}

func (o *Birth) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendText(b, 1, o.Origin)
	b = appendText(b, 2, o.Cause)
	b = appendText(b, 3, o.Predecessor)
	b = appendUint(b, 4, o.PredecessorSize)
	if o.PredecessorRoot != ([32]byte{}) {
		b = appendBytes(b, 5, o.PredecessorRoot[:])
	}
	return closeAt(b, at)
}

func (c *Recovery) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendText(b, 1, c.File)
	b = appendUint(b, 2, c.Offset)
	b = appendUint(b, 3, c.CutBytes)
	b = appendUint(b, 4, c.Size)
	return closeAt(b, at)
}

func (a *LogAccess) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendUint(b, 1, a.From)
	b = appendUint(b, 2, a.To)
	b = appendUint(b, 3, a.Count)
	b = appendTexts(b, 4, a.Filters)
	return closeAt(b, at)
}

func (s *Status) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendUint(b, 1, uint64(s.Uptime))
	b = appendUint(b, 2, s.LoadMilli)
	b = appendUint(b, 3, s.Calls)
	b = appendUint(b, 4, s.Failures)
	b = appendUint(b, 5, s.DiskFree)
	b = appendUint(b, 6, s.DiskTotal)
	for _, h := range s.Sources {
		b = appendPair(b, 7, h.Name, h.State)
	}
	for i := range s.Peers {
		b = s.Peers[i].append(b, 8)
	}
	b = appendUint(b, 9, s.LedgerMark)
	return closeAt(b, at)
}

func (p *Purge) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendUint(b, 1, p.From)
	b = appendUint(b, 2, p.To)
	b = appendUint(b, 3, p.Segments)
	b = appendUint(b, 4, p.Bytes)
	b = appendTime(b, 5, p.Latest)
	b = appendText(b, 6, p.Period)
	b = appendUint(b, 7, p.GraceDays)
	b = appendUint(b, 8, p.Kept)
	return closeAt(b, at)
}

func (t *TreeHead) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendText(b, 1, t.Origin)
	b = appendUint(b, 2, t.Size)
	if t.Root != ([32]byte{}) {
		b = appendBytes(b, 3, t.Root[:])
	}
	return closeAt(b, at)
}

// open begins a nested message; [closeAt] fills in its length. One byte is reserved, which nearly always is enough.
func open(b []byte, num protowire.Number) ([]byte, int) {
	b = append(protowire.AppendTag(b, num, protowire.BytesType), 0)
	return b, len(b)
}

func closeAt(b []byte, at int) []byte {
	size := len(b) - at
	if size < 0x80 {
		b[at-1] = byte(size)
		return b
	}
	grow := protowire.SizeVarint(uint64(size)) - 1
	b = append(b, make([]byte, grow)...)
	copy(b[at+grow:], b[at:at+size])
	protowire.AppendVarint(b[:at-1], uint64(size))
	return b
}

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendFixed(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), v)
}

func appendTime(b []byte, num protowire.Number, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return appendFixed(b, num, uint64(t.UnixNano()))
}

func appendText(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

func appendTexts(b []byte, num protowire.Number, list []string) []byte {
	for _, s := range list {
		b = appendText(b, num, s)
	}
	return b
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

// appendPair appends a message of two strings.
func appendPair(b []byte, num protowire.Number, first, second string) []byte {
	b, at := open(b, num)
	b = appendText(b, 1, first)
	b = appendText(b, 2, second)
	return closeAt(b, at)
}
