package record

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Parse reads a record. It accepts the canonical form only, so that a record has one byte string: anything else is
// [ErrInvalid] (unknown field, wrong order, default value written, unknown event or enum number, bad text) or
// [ErrTooLarge]. The result does not alias b. Times are UTC.
//
// All texts of the result are parts of one string: whoever keeps one of them for long keeps the whole record, and
// should clone it.
func Parse(b []byte) (Record, error) {
	if len(b) > MaxSize {
		return Record{}, ErrTooLarge
	}
	var r Record
	d := decoder{s: string(b), level: level{end: len(b)}}
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
		r.Clock.decode(d)
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
		r.Actor.decode(d)
	case 7:
		r.Session = d.text()
	case 8:
		d.array(r.TraceID[:])
	case 9:
		r.Source.decode(d)
	case 10:
		r.Destination.decode(d)
	case 11:
		r.Via.decode(d)
	case 12:
		r.Protocol.decode(d)
	case 13:
		r.Action = d.text()
	case 14:
		d.pair(&r.Object.Type, &r.Object.ID)
	case 15:
		r.Outcome.decode(d)
	case 16:
		r.Traffic.decode(d)
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
		r.Processing.decode(d)
	case 19:
		r.Change = new(Change)
		r.Change.decode(d)
	case 20:
		r.Security = new(Security)
		r.Security.decode(d)
	case 21:
		r.Tally = new(Tally)
		r.Tally.decode(d)
	case 22:
		r.Birth = new(Birth)
		r.Birth.decode(d)
	case 23:
		r.Recovery = new(Recovery)
		r.Recovery.decode(d)
	case 24:
		r.LogAccess = new(LogAccess)
		r.LogAccess.decode(d)
	case 25:
		r.Status = new(Status)
		r.Status.decode(d)
	case 26:
		r.Purge = new(Purge)
		r.Purge.decode(d)
	case 27:
		r.Totals = new(Totals)
		r.Totals.decode(d)
	default:
		d.fail("unknown field")
	}
}

func (c *Clock) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.num {
		case 1:
			c.State = ClockState(d.small())
		case 2:
			c.Offset = time.Duration(protowire.DecodeZigZag(d.uint()))
		default:
			d.fail("unknown field")
		}
	}
	d.leave(outer)
}

func (a *Actor) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
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
	d.leave(outer)
}

func (p *Peer) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.num {
		case 1:
			p.IP = d.address()
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
	d.leave(outer)
}

func (p *Protocol) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
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
	d.leave(outer)
}

func (o *Outcome) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
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
	d.leave(outer)
}

func (t *Traffic) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
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
	d.leave(outer)
}

func (p *Processing) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.num {
		case 1:
			p.Product = d.text()
		case 2:
			p.Purpose = d.text()
		case 3:
			if p.Fields == nil {
				p.Fields = make([]string, 0, 4) // more than most records name
			}
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
	d.leave(outer)
}

func (c *Change) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
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
	d.leave(outer)
}

func (s *Security) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
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
	d.leave(outer)
}

func (t *Tally) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
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
	d.leave(outer)
}

func (o *Birth) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
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
	d.leave(outer)
}

func (c *Recovery) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
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
	d.leave(outer)
}

func (a *LogAccess) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
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
	d.leave(outer)
}

func (s *Status) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
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
			t.decode(d)
			s.Peers = append(s.Peers, t)
		case 9:
			s.LedgerMark = d.uint()
		default:
			d.fail("unknown field")
		}
	}
	d.leave(outer)
}

func (p *Purge) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.num {
		case 1:
			p.From = d.uint()
		case 2:
			p.To = d.uint()
		case 3:
			p.Segments = d.uint()
		case 4:
			p.Bytes = d.uint()
		case 5:
			p.Latest = d.time()
		case 6:
			p.Period = d.text()
		case 7:
			p.GraceDays = d.uint()
		case 8:
			p.Kept = d.uint()
		default:
			d.fail("unknown field")
		}
	}
	d.leave(outer)
}

func (t *TreeHead) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
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
	d.leave(outer)
}
