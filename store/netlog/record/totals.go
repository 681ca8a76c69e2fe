package record

import (
	"cmp"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Totals counts the records of one part of the log, [From, To), or a part of its groups where one record does not hold
// them all. What the parts mean together is said by package totals.
type Totals struct {
	From, To    uint64 // indexes
	Begin       uint64 // index from which on every record is counted
	Part, Parts uint32 // from 1
	Groups      []Group
}

// Group is the number of records of one hour, actor, action and outcome.
type Group struct {
	Hour    uint64 // of the records' own times, see [HourOf]
	Kind    ActorKind
	Actor   string
	Action  string
	Outcome OutcomeKind
	Count   uint64
}

// HourOf numbers the hours since 1970, UTC. China's begin with them.
func HourOf(t time.Time) uint64 { return uint64(t.Unix()) / 3600 }

// GroupOf returns the group that a record is counted in, with a count of zero.
func GroupOf(r *Record) Group {
	return Group{Hour: HourOf(r.Time), Kind: r.Actor.Kind, Actor: r.Actor.ID, Action: r.Action, Outcome: r.Outcome.Kind}
}

// Compare orders groups by all their members but the count.
func (g Group) Compare(o Group) int {
	return cmp.Or(cmp.Compare(g.Hour, o.Hour), cmp.Compare(g.Kind, o.Kind), cmp.Compare(g.Actor, o.Actor),
		cmp.Compare(g.Action, o.Action), cmp.Compare(g.Outcome, o.Outcome))
}

// Size is how many bytes the group takes in a record, at most.
func (g Group) Size() int {
	const numbers = 40 // tags, lengths, and every number at its longest
	return numbers + len(g.Actor) + len(g.Action)
}

// sum adds up the counts; false where that is more than a part can have.
func (t *Totals) sum() (n uint64, ok bool) {
	room := t.To - t.From
	for i := range t.Groups {
		if t.Groups[i].Count > room {
			return 0, false
		}
		room -= t.Groups[i].Count
	}
	return t.To - t.From - room, true
}

func (t *Totals) validate(c *check) {
	c.must(t.Begin <= t.From && t.From < t.To, "totals.range")
	c.must(t.Part >= 1 && t.Part <= t.Parts, "totals.part")
	c.must(len(t.Groups) > 0, "totals.groups")
	for i := range t.Groups {
		g := &t.Groups[i]
		c.must(g.Hour <= HourOf(before2262), "totals.groups.hour")
		c.must(g.Kind <= ActorNode, "totals.groups.actor_kind")
		c.text(g.Actor, "totals.groups.actor")
		c.text(g.Action, "totals.groups.action")
		c.must(g.Outcome > 0 && g.Outcome <= Cancelled, "totals.groups.outcome")
		c.must(g.Count > 0, "totals.groups.count")
		c.must(i == 0 || t.Groups[i-1].Compare(*g) < 0, "totals.groups order")
	}
	if t.From < t.To {
		n, ok := t.sum()
		c.must(ok && (t.Parts > 1 || n == t.To-t.From), "totals.groups sum")
	}
}

func (t *Totals) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendUint(b, 1, t.From)
	b = appendUint(b, 2, t.To)
	b = appendUint(b, 3, t.Begin)
	b = appendUint(b, 4, uint64(t.Part))
	b = appendUint(b, 5, uint64(t.Parts))
	for i := range t.Groups {
		b = t.Groups[i].append(b, 6)
	}
	return closeAt(b, at)
}

func (g *Group) append(b []byte, num protowire.Number) []byte {
	b, at := open(b, num)
	b = appendUint(b, 1, g.Hour)
	b = appendUint(b, 2, uint64(g.Kind))
	b = appendText(b, 3, g.Actor)
	b = appendText(b, 4, g.Action)
	b = appendUint(b, 5, uint64(g.Outcome))
	b = appendUint(b, 6, g.Count)
	return closeAt(b, at)
}

func (t *Totals) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.num {
		case 1:
			t.From = d.uint()
		case 2:
			t.To = d.uint()
		case 3:
			t.Begin = d.uint()
		case 4:
			t.Part = uint32(d.atMost(1<<32 - 1))
		case 5:
			t.Parts = uint32(d.atMost(1<<32 - 1))
		case 6:
			d.repeated = true
			t.Groups = append(t.Groups, Group{})
			t.Groups[len(t.Groups)-1].decode(d)
		default:
			d.fail("unknown field")
		}
	}
	d.leave(outer)
}

func (g *Group) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.num {
		case 1:
			g.Hour = d.uint()
		case 2:
			g.Kind = ActorKind(d.small())
		case 3:
			g.Actor = d.text()
		case 4:
			g.Action = d.text()
		case 5:
			g.Outcome = OutcomeKind(d.small())
		case 6:
			g.Count = d.uint()
		default:
			d.fail("unknown field")
		}
	}
	d.leave(outer)
}
