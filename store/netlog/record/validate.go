package record

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

var (
	// ErrInvalid is a record that may not exist, or bytes that are not the canonical form of one.
	ErrInvalid = errors.New("record: invalid")
	// ErrTooLarge is a record above [MaxSize].
	ErrTooLarge = errors.New("record: too large")
)

// invalid names the part that is wrong. It never repeats content.
func invalid(part string) error { return fmt.Errorf("%w: %s", ErrInvalid, part) }

// check collects the first thing that is wrong.
type check struct{ part string }

func (c *check) must(ok bool, part string) {
	if !ok && c.part == "" {
		c.part = part
	}
}

// text: printable ASCII without space, at most MaxText bytes. Empty is absent.
func (c *check) text(s, part string) {
	ok := len(s) <= MaxText
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] > ' ' && s[i] < 0x7f
	}
	c.must(ok, part)
}

func (c *check) texts(list []string, part string) {
	c.must(len(list) <= MaxList, part)
	for _, s := range list {
		c.must(s != "", part)
		c.text(s, part)
	}
}

// diff: UTF-8 without control characters but newline and tab.
func (c *check) diff(s string) {
	ok := len(s) <= MaxDiff && utf8.ValidString(s)
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] >= ' ' && s[i] != 0x7f || s[i] == '\n' || s[i] == '\t'
	}
	c.must(ok, "change.diff")
}

// after1970 and before2262 bound what 64 bits of nanoseconds, read as unsigned, hold in Go's time.
var (
	after1970  = time.Unix(0, 0)
	before2262 = time.Unix(0, 1<<63-1)
)

func (c *check) time(t time.Time, part string) {
	c.must(t.IsZero() || t.After(after1970) && t.Before(before2262), part)
}

func (r *Record) validate(category Category, severity Severity) error {
	var c check
	c.must(!r.Time.IsZero(), "time")
	c.time(r.Time, "time")
	c.must(r.Clock.State <= ClockUnsynchronised, "clock.state")
	c.must(category > 0 && category <= CategorySystem, "category")
	c.must(r.Event.Valid(), "event")
	c.must(severity > 0 && severity <= Critical, "severity")
	c.must(r.Actor.Kind <= ActorNode, "actor.kind")
	c.text(r.Actor.ID, "actor.id")
	c.text(r.Actor.Role, "actor.role")
	c.text(r.Actor.Credential, "actor.credential")
	c.text(r.Actor.AuthMethod, "actor.auth_method")
	c.text(r.Actor.OnBehalfOf, "actor.on_behalf_of")
	c.text(r.Session, "session")
	r.Source.validate(&c, "source")
	r.Destination.validate(&c, "destination")
	r.Via.validate(&c, "via")
	c.text(r.Protocol.TLSVersion, "protocol.tls_version")
	c.text(r.Protocol.Cipher, "protocol.cipher")
	c.text(r.Protocol.ServerName, "protocol.server_name")
	c.text(r.Protocol.UserAgent, "protocol.user_agent")
	c.text(r.Action, "action")
	c.text(r.Object.Type, "object.type")
	c.text(r.Object.ID, "object.id")
	c.must(r.Outcome.Kind > 0 && r.Outcome.Kind <= Cancelled, "outcome.kind")
	c.must(r.Outcome.Code <= 16, "outcome.code")
	c.text(r.Outcome.Reason, "outcome.reason")
	c.must(r.Traffic.Duration >= 0, "traffic.duration")
	r.validateParts(&c)
	if c.part != "" {
		return invalid(c.part)
	}
	return nil
}

func (r *Record) validateParts(c *check) {
	if p := r.Processing; p != nil {
		p.validate(c)
	}
	if p := r.Change; p != nil {
		c.text(p.Before, "change.before")
		c.text(p.After, "change.after")
		c.diff(p.Diff)
		c.must(len(p.Digests) <= MaxList, "change.digests")
		for _, d := range p.Digests {
			c.text(d.Name, "change.digests.name")
			c.text(d.Value, "change.digests.value")
		}
	}
	if p := r.Security; p != nil {
		c.text(p.Attack, "security.attack")
		c.text(p.Target, "security.target")
		c.text(p.Rule, "security.rule")
		c.must(p.Window >= 0, "security.window")
	}
	if p := r.Tally; p != nil {
		c.time(p.First, "tally.first")
		c.time(p.Last, "tally.last")
	}
	if p := r.Birth; p != nil {
		c.text(p.Origin, "birth.origin")
		c.text(p.Cause, "birth.cause")
		c.text(p.Predecessor, "birth.predecessor")
	}
	if p := r.Recovery; p != nil {
		c.text(p.File, "recovery.file")
	}
	if p := r.LogAccess; p != nil {
		c.texts(p.Filters, "log_access.filters")
	}
	if p := r.Status; p != nil {
		p.validate(c)
	}
	if p := r.Purge; p != nil {
		c.time(p.Latest, "purge.latest")
		c.text(p.Period, "purge.period")
	}
	if p := r.Totals; p != nil {
		p.validate(c)
	}
}

func (p *Peer) validate(c *check, part string) {
	c.must(p.PrefixBits <= 128, part)
	c.text(p.Name, part)
	c.text(p.Certificate, part)
}

func (p *Processing) validate(c *check) {
	c.text(p.Product, "processing.product")
	c.text(p.Purpose, "processing.purpose")
	c.texts(p.Fields, "processing.fields")
	c.text(p.LegalBasis, "processing.legal_basis")
	c.text(p.ConsentUse, "processing.consent_use")
	c.text(p.PolicyVersion, "processing.policy_version")
	c.text(p.Verdict, "processing.verdict")
	c.text(p.Source, "processing.source")
	c.time(p.AsOf, "processing.as_of")
	c.text(p.Dataset, "processing.dataset")
	c.text(p.Billing, "processing.billing")
}

func (s *Status) validate(c *check) {
	c.must(s.Uptime >= 0, "status.uptime")
	c.must(len(s.Sources) <= MaxList, "status.sources")
	for _, h := range s.Sources {
		c.text(h.Name, "status.sources.name")
		c.text(h.State, "status.sources.state")
	}
	c.must(len(s.Peers) <= MaxList, "status.peers")
	for i := range s.Peers {
		c.text(s.Peers[i].Origin, "status.peers.origin")
	}
}
