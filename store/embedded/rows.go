package embedded

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/subject"
	"github.com/heyan-project/heyan/verifier/usage"
	"github.com/heyan-project/heyan/verifier/workday"
)

// errRow is the cause where a row that passed its integrity check is not what this release writes.
var errRow = errors.New("embedded: a stored row is malformed")

// encoder appends integers as varints, texts length-prefixed and times in Unix nanoseconds, zero for none.
type encoder struct{ b []byte }

func (e *encoder) bytes(b []byte) { e.b = append(e.b, b...) }
func (e *encoder) uint(n uint64)  { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) int(n int64)    { e.b = binary.AppendVarint(e.b, n) }
func (e *encoder) text(s string)  { e.uint(uint64(len(s))); e.b = append(e.b, s...) }

func (e *encoder) bool(set bool) {
	if set {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.int(0)
	} else {
		e.int(t.UnixNano())
	}
}

// decoder reads the same; after the first failure it gives zeros, and done says so.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) take(n uint64) []byte {
	if d.failed || n > uint64(len(d.b)) {
		d.failed = true
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) bytes(dst []byte) { copy(dst, d.take(uint64(len(dst)))) }

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.failed = true
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.failed = true
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) text() string { return string(d.take(d.uint())) }

func (d *decoder) bool() bool {
	b := d.take(1)
	return len(b) == 1 && b[0] == 1
}

func (d *decoder) time() time.Time {
	if n := d.int(); n != 0 {
		return time.Unix(0, n).UTC()
	}
	return time.Time{}
}

func (d *decoder) done() error {
	if d.failed || len(d.b) != 0 {
		return errRow
	}
	return nil
}

// answered is a Q row: which verification answered a request.
type answered struct {
	id ledger.ID
	n  uint64
}

func (a *answered) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(append(dst, a.id[:]...), a.n)
}

func parseAnswered(b []byte) (answered, error) {
	var a answered
	if len(b) != len(a.id)+8 {
		return a, errRow
	}
	copy(a.id[:], b)
	a.n = binary.BigEndian.Uint64(b[len(a.id):])
	return a, nil
}

// addition is what one operation added to totals: the value of L and O rows. Which of the counters' units are
// pending follows from the verification.
type addition struct {
	n        uint64
	client   string
	consent  ledger.ID // of an O row: the consent that it created
	key      usage.Key
	counts   usage.Counts
	counters []string
	pending  bool // the counters' units are pending, not used
}

func (a *addition) append(dst []byte) []byte {
	e := encoder{dst}
	e.uint(a.n)
	e.text(a.client)
	e.bytes(a.consent[:])
	e.usageKey(&a.key)
	e.counts(&a.counts)
	e.texts(a.counters)
	e.bool(a.pending)
	return e.b
}

func parseAddition(b []byte) (addition, error) {
	d := decoder{b: b}
	a := addition{n: d.uint(), client: d.text()}
	d.bytes(a.consent[:])
	d.usageKey(&a.key)
	d.counts(&a.counts)
	a.counters = d.texts()
	a.pending = d.bool()
	return a, d.done()
}

func (e *encoder) usageKey(k *usage.Key) {
	e.uint(uint64(k.Day.Year()))
	e.uint(uint64(k.Day.Month()))
	e.uint(uint64(k.Day.Day()))
	e.text(k.Client)
	e.text(string(k.Product))
	e.bool(k.Test)
}

func (d *decoder) usageKey(k *usage.Key) {
	year, month, day := d.uint(), d.uint(), d.uint()
	if date, err := workday.NewDate(int(year), time.Month(month), int(day)); err == nil {
		k.Day = date
	} else if year|month|day != 0 { // the zero Date is no date of a calendar
		d.failed = true
	}
	k.Client, k.Product, k.Test = d.text(), product.ID(d.text()), d.bool()
}

func (e *encoder) counts(c *usage.Counts) {
	for _, n := range c.Verdicts {
		e.int(n)
	}
	e.int(c.Billed)
	e.int(c.AmountFen)
	e.int(c.Replayed)
}

func (d *decoder) counts(c *usage.Counts) {
	for i := range c.Verdicts {
		c.Verdicts[i] = d.int()
	}
	c.Billed, c.AmountFen, c.Replayed = d.int(), d.int(), d.int()
}

func (e *encoder) texts(list []string) {
	e.uint(uint64(len(list)))
	for _, s := range list {
		e.text(s)
	}
}

func (d *decoder) texts() []string {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.failed = true
		return nil
	}
	var list []string
	for range n {
		list = append(list, d.text())
	}
	return list
}

// person is an S row: what one operation left of a person. It is only ever found by n.
type person struct {
	client       string
	verification ledger.ID     // zero: none, or voided
	content      digest.Digest // of the request; zero: none, or gone
	consent      ledger.ID     // created by this operation; zero: none
	evidence     digest.Digest // of that consent
	notice       string
	handles      []subject.Handle
}

func (p *person) append(dst []byte) []byte {
	e := encoder{dst}
	e.text(p.client)
	e.bytes(p.verification[:])
	e.bytes(p.content[:])
	e.bytes(p.consent[:])
	if !p.consent.IsZero() {
		e.bytes(p.evidence[:])
		e.text(p.notice)
	}
	e.uint(uint64(len(p.handles)))
	for i := range p.handles {
		e.bytes(p.handles[i][:])
	}
	return e.b
}

func parsePerson(b []byte) (person, error) {
	d := decoder{b: b}
	p := person{client: d.text()}
	d.bytes(p.verification[:])
	d.bytes(p.content[:])
	d.bytes(p.consent[:])
	if !p.consent.IsZero() {
		d.bytes(p.evidence[:])
		p.notice = d.text()
	}
	n := d.uint()
	if n*digest.Size != uint64(len(d.b)) {
		return p, errRow
	}
	p.handles = make([]subject.Handle, n)
	for i := range p.handles {
		d.bytes(p.handles[i][:])
	}
	return p, d.done()
}

// link is an H row: what a handle leads to, a verification, and the consent that it rests on or that was put on file.
type link struct {
	client       string
	verification ledger.ID
	consent      ledger.ID
}

func (l *link) append(dst []byte) []byte {
	dst = append(append(dst, l.verification[:]...), l.consent[:]...)
	return append(dst, l.client...)
}

func parseLink(b []byte) (link, error) {
	var l link
	if len(b) < 2*len(l.consent) {
		return l, errRow
	}
	copy(l.verification[:], b)
	copy(l.consent[:], b[len(l.consent):])
	l.client = string(b[2*len(l.consent):])
	return l, nil
}

// standing is what stands under an evidence for one notice: a consent, or without one a tombstone.
type standing struct {
	notice  string
	client  string
	consent ledger.ID
	n       uint64
}

func appendStandings(dst []byte, list []standing) []byte {
	e := encoder{dst}
	e.uint(uint64(len(list)))
	for i := range list {
		s := &list[i]
		e.text(s.notice)
		e.text(s.client)
		e.bytes(s.consent[:])
		e.uint(s.n)
	}
	return e.b
}

func parseStandings(b []byte) ([]standing, error) {
	d := decoder{b: b}
	n := d.uint()
	if n > uint64(len(d.b)) {
		return nil, errRow
	}
	list := make([]standing, n)
	for i := range list {
		s := &list[i]
		s.notice, s.client = d.text(), d.text()
		d.bytes(s.consent[:])
		s.n = d.uint()
	}
	return list, d.done()
}

// onFile is a K or k row: a consent and the operation that created it.
type onFile struct {
	consent.Consent
	id ledger.ID
	n  uint64
}

func (f *onFile) append(dst []byte) []byte {
	c := &f.Consent
	e := encoder{dst}
	e.uint(f.n)
	e.bytes(f.id[:])
	e.text(c.Client)
	e.text(c.Notice)
	e.time(c.ObtainTime)
	e.time(c.ExpireTime)
	e.uint(uint64(c.Status))
	e.int(c.Revision)
	e.bool(c.Guardian)
	e.time(c.WithdrawTime)
	e.time(c.CreateTime)
	if c.Test { // the last member, and only where it is set: a row without it is a live one's
		e.bool(true)
	}
	return e.b
}

func parseOnFile(b []byte) (*onFile, error) {
	d := decoder{b: b}
	f := &onFile{n: d.uint()}
	d.bytes(f.id[:])
	c := &f.Consent
	c.ID = f.id.String()
	c.Client, c.Notice = d.text(), d.text()
	c.ObtainTime, c.ExpireTime = d.time(), d.time()
	c.Status, c.Revision, c.Guardian = consent.Status(d.uint()), d.int(), d.bool()
	c.WithdrawTime, c.CreateTime = d.time(), d.time()
	if len(d.b) > 0 && !d.failed {
		c.Test = d.bool()
	}
	return f, d.done()
}
