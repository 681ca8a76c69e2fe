package record

import (
	"net/netip"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Parse reads a record. It accepts the canonical form only, so that a record has one byte string: anything else is
// [ErrInvalid] (unknown field, wrong order, default value written, unknown event or enum number, bad text) or
// [ErrTooLarge]. The result does not alias b. Times are UTC.
func Parse(b []byte) (Record, error) {
	if len(b) > MaxSize {
		return Record{}, ErrTooLarge
	}
	var r Record
	d := decoder{b: b}
	for d.next() {
		r.decodeField(&d)
	}
	if d.err != nil {
		return Record{}, d.err
	}
	if err := r.validate(r.Category, r.Severity); err != nil {
		return Record{}, err
	}
	return r, nil
}

func (r *Record) decodeField(d *decoder) {
	switch d.num {
	case 1:
		r.Time = d.time()
	case 2:
		d.message(r.Clock.decodeField)
	case 3:
		r.Category = Category(d.small())
	case 4:
		var ok bool
		if r.Event, ok = ParseEvent(d.text()); !ok {
			d.fail("event")
		}
	case 5:
		r.Severity = Severity(d.small())
	case 6:
		d.message(r.Actor.decodeField)
	case 7:
		r.Session = d.text()
	case 8:
		d.array(r.TraceID[:])
	case 9:
		d.message(r.Source.decodeField)
	case 10:
		d.message(r.Destination.decodeField)
	case 11:
		d.message(r.Via.decodeField)
	case 12:
		d.message(r.Protocol.decodeField)
	case 13:
		r.Action = d.text()
	case 14:
		d.pair(&r.Object.Type, &r.Object.ID)
	case 15:
		d.message(r.Outcome.decodeField)
	case 16:
		d.message(r.Traffic.decodeField)
	case 18:
		d.array(r.Commitment[:])
	default:
		r.decodePart(d)
	}
	if d.num == 2 && r.Clock == (Clock{}) || d.num == 6 && r.Actor == (Actor{}) ||
		d.num == 9 && r.Source == (Peer{}) || d.num == 10 && r.Destination == (Peer{}) || d.num == 11 && r.Via == (Peer{}) ||
		d.num == 12 && r.Protocol == (Protocol{}) || d.num == 14 && r.Object == (Object{}) || d.num == 16 && r.Traffic == (Traffic{}) {
		d.fail("empty message")
	}
}

func (r *Record) decodePart(d *decoder) {
	switch d.num {
	case 17:
		r.Processing = new(Processing)
		d.message(r.Processing.decodeField)
	case 19:
		r.Change = new(Change)
		d.message(r.Change.decodeField)
	case 20:
		r.Security = new(Security)
		d.message(r.Security.decodeField)
	case 21:
		r.Tally = new(Tally)
		d.message(r.Tally.decodeField)
	case 22:
		r.Birth = new(Birth)
		d.message(r.Birth.decodeField)
	case 23:
		r.Recovery = new(Recovery)
		d.message(r.Recovery.decodeField)
	case 24:
		r.LogAccess = new(LogAccess)
		d.message(r.LogAccess.decodeField)
	case 25:
		r.Status = new(Status)
		d.message(r.Status.decodeField)
	default:
		d.fail("unknown field")
	}
}

func (c *Clock) decodeField(d *decoder) {
	switch d.num {
	case 1:
		c.State = ClockState(d.small())
	case 2:
		c.Offset = time.Duration(protowire.DecodeZigZag(d.uint()))
	default:
		d.fail("unknown field")
	}
}

func (a *Actor) decodeField(d *decoder) {
	switch d.num {
	case 1:
		a.Kind = ActorKind(d.small())
	case 2:
		a.ID = d.text()
	case 3:
		a.Role = d.text()
	case 4:
		a.Credential = d.text()
	case 5:
		a.AuthMethod = d.text()
	case 6:
		a.OnBehalfOf = d.text()
	default:
		d.fail("unknown field")
	}
}

func (p *Peer) decodeField(d *decoder) {
	switch d.num {
	case 1:
		text := d.text()
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" || ip.Is4In6() || ip.String() != text {
			d.fail("ip")
		}
		p.IP = ip
	case 2:
		p.Port = d.port()
	case 3:
		p.PrefixBits = d.small()
	case 4:
		p.Name = d.text()
	case 5:
		p.Certificate = d.text()
	default:
		d.fail("unknown field")
	}
}

func (p *Protocol) decodeField(d *decoder) {
	switch d.num {
	case 1:
		p.TLSVersion = d.text()
	case 2:
		p.Cipher = d.text()
	case 3:
		p.ServerName = d.text()
	case 4:
		p.UserAgent = d.text()
	default:
		d.fail("unknown field")
	}
}

func (o *Outcome) decodeField(d *decoder) {
	switch d.num {
	case 1:
		o.Kind = OutcomeKind(d.small())
	case 2:
		o.Code = uint32(d.small())
	case 3:
		o.Reason = d.text()
	default:
		d.fail("unknown field")
	}
}

func (t *Traffic) decodeField(d *decoder) {
	switch d.num {
	case 1:
		t.BytesIn = d.uint()
	case 2:
		t.BytesOut = d.uint()
	case 3:
		t.MessagesIn = d.uint()
	case 4:
		t.MessagesOut = d.uint()
	case 5:
		t.Duration = time.Duration(d.uint())
	default:
		d.fail("unknown field")
	}
}

func (p *Processing) decodeField(d *decoder) {
	switch d.num {
	case 1:
		p.Product = d.text()
	case 2:
		p.Purpose = d.text()
	case 3:
		p.Fields = append(p.Fields, d.repeatedText())
	case 4:
		p.LegalBasis = d.text()
	case 5:
		p.ConsentUse = d.text()
	case 6:
		p.PolicyVersion = d.text()
	case 7:
		p.Verdict = d.text()
	case 8:
		p.Source = d.text()
	case 9:
		p.AsOf = d.time()
	case 10:
		p.Dataset = d.text()
	case 11:
		p.Billing = d.text()
	case 12:
		p.Reused = d.flag()
	case 13:
		p.Test = d.flag()
	default:
		d.fail("unknown field")
	}
}

func (c *Change) decodeField(d *decoder) {
	switch d.num {
	case 1:
		c.Before = d.text()
	case 2:
		c.After = d.text()
	case 3:
		c.Diff = d.text()
	case 4:
		d.repeated = true
		var digest Digest
		d.pair(&digest.Name, &digest.Value)
		c.Digests = append(c.Digests, digest)
	default:
		d.fail("unknown field")
	}
}

func (s *Security) decodeField(d *decoder) {
	switch d.num {
	case 1:
		s.Attack = d.text()
	case 2:
		s.Target = d.text()
	case 3:
		s.Rule = d.text()
	case 4:
		s.Count = d.uint()
	case 5:
		s.Limit = d.uint()
	case 6:
		s.Window = time.Duration(d.uint())
	default:
		d.fail("unknown field")
	}
}

func (t *Tally) decodeField(d *decoder) {
	switch d.num {
	case 1:
		t.Count = d.uint()
	case 2:
		t.First = d.time()
	case 3:
		t.Last = d.time()
	case 4:
		t.FirstPort = d.port()
	case 5:
		t.LastPort = d.port()
	default:
		d.fail("unknown field")
	}
}

func (o *Birth) decodeField(d *decoder) {
	switch d.num {
	case 1:
		o.Origin = d.text()
	case 2:
		o.Cause = d.text()
	case 3:
		o.Predecessor = d.text()
	case 4:
		o.PredecessorSize = d.uint()
	case 5:
		d.array(o.PredecessorRoot[:])
	default:
		d.fail("unknown field")
	}
}

func (c *Recovery) decodeField(d *decoder) {
	switch d.num {
	case 1:
		c.File = d.text()
	case 2:
		c.Offset = d.uint()
	case 3:
		c.CutBytes = d.uint()
	case 4:
		c.Size = d.uint()
	default:
		d.fail("unknown field")
	}
}

func (a *LogAccess) decodeField(d *decoder) {
	switch d.num {
	case 1:
		a.From = d.uint()
	case 2:
		a.To = d.uint()
	case 3:
		a.Count = d.uint()
	case 4:
		a.Filters = append(a.Filters, d.repeatedText())
	default:
		d.fail("unknown field")
	}
}

func (s *Status) decodeField(d *decoder) {
	switch d.num {
	case 1:
		s.Uptime = time.Duration(d.uint())
	case 2:
		s.LoadMilli = d.uint()
	case 3:
		s.Calls = d.uint()
	case 4:
		s.Failures = d.uint()
	case 5:
		s.DiskFree = d.uint()
	case 6:
		s.DiskTotal = d.uint()
	case 7:
		d.repeated = true
		var h Health
		d.pair(&h.Name, &h.State)
		s.Sources = append(s.Sources, h)
	case 8:
		d.repeated = true
		var t TreeHead
		d.message(t.decodeField)
		s.Peers = append(s.Peers, t)
	case 9:
		s.LedgerMark = d.uint()
	default:
		d.fail("unknown field")
	}
}

func (t *TreeHead) decodeField(d *decoder) {
	switch d.num {
	case 1:
		t.Origin = d.text()
	case 2:
		t.Size = d.uint()
	case 3:
		d.array(t.Root[:])
	default:
		d.fail("unknown field")
	}
}
