package ledger

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
)

// A version begins every encoded Verification; a row of a newer one is refused, never guessed at. A row with a
// ResolutionReason has it at its end; every other row is still one that earlier releases read.
const (
	rowPlain    = 1
	rowResolved = 2
)

// Errors of decoding.
var (
	ErrRow      = errors.New("ledger: malformed verification row")
	ErrRowNewer = errors.New("ledger: verification row of a newer version")
)

// AppendVerification encodes v in a compact form of this package's own: fields in a fixed order, integers as
// varints, texts length-prefixed, times in Unix nanoseconds.
func AppendVerification(dst []byte, v *Verification) []byte {
	version := byte(rowPlain)
	if v.ResolutionReason != "" {
		version = rowResolved
	}
	w := writer{append(dst, version)}
	w.bytes(v.ID[:])
	w.text(v.Client)
	w.text(string(v.Product))
	w.byte(byte(v.Purpose), byte(v.Fields), flags(v.Test, v.Detail, v.Child), byte(v.Verdict))
	w.bytes(fieldVerdictBytes(&v.FieldVerdicts))
	w.text(v.Source)
	w.time(v.SourceAsOf)
	w.text(v.SourceCode)
	w.text(v.Dataset)
	w.text(v.Recipient)
	w.byte(byte(v.Billing), byte(v.State))
	w.int(v.PriceFen)
	w.time(v.VerifyTime)
	w.time(v.ExpireTime)
	w.time(v.ReconcileBy)
	w.bytes(v.Consent[:])
	w.bytes(v.ConsentUse[:])
	w.text(v.LegalBasis)
	w.text(v.PolicyVersion)
	w.text(v.Log.Origin)
	w.uint(v.Log.Index)
	w.text(v.Resolution.Origin)
	w.uint(v.Resolution.Index)
	w.uint(uint64(len(v.Remarks)))
	for _, r := range v.Remarks {
		w.byte(byte(r.Field))
		w.text(r.Code)
	}
	w.bytes(v.Reference[:])
	w.bytes(v.Request[:])
	w.text(v.QuotaKey)
	if version == rowResolved {
		w.text(v.ResolutionReason)
	}
	return w.b
}

// ParseVerification decodes what AppendVerification wrote, exactly.
func ParseVerification(b []byte, v *Verification) error {
	if len(b) == 0 {
		return ErrRow
	}
	version := b[0]
	if version != rowPlain && version != rowResolved {
		return ErrRowNewer
	}
	r := reader{b: b[1:]}
	*v = Verification{}
	r.bytes(v.ID[:])
	v.Client, v.Product = r.text(), product.ID(r.text())
	v.Purpose, v.Fields = product.Purpose(r.byte()), field.Set(r.byte())
	bits := r.byte()
	v.Test, v.Detail, v.Child = bits&1 != 0, bits&2 != 0, bits&4 != 0
	v.Verdict = product.Verdict(r.byte())
	for i := range v.FieldVerdicts {
		v.FieldVerdicts[i] = product.FieldVerdict(r.byte())
	}
	v.Source, v.SourceAsOf, v.SourceCode = r.text(), r.time(), r.text()
	v.Dataset, v.Recipient = r.text(), r.text()
	v.Billing, v.State = product.Billing(r.byte()), State(r.byte())
	v.PriceFen = r.int()
	v.VerifyTime, v.ExpireTime, v.ReconcileBy = r.time(), r.time(), r.time()
	r.bytes(v.Consent[:])
	r.bytes(v.ConsentUse[:])
	v.LegalBasis, v.PolicyVersion = r.text(), r.text()
	v.Log = Position{Origin: r.text(), Index: r.uint()}
	v.Resolution = Position{Origin: r.text(), Index: r.uint()}
	if n := r.uint(); n > 0 && n <= uint64(len(r.b)) {
		v.Remarks = make([]Remark, n)
		for i := range v.Remarks {
			v.Remarks[i] = Remark{Field: field.Kind(r.byte()), Code: r.text()}
		}
	} else if n != 0 {
		return ErrRow
	}
	r.bytes(v.Reference[:])
	r.bytes(v.Request[:])
	v.QuotaKey = r.text()
	if version == rowResolved {
		v.ResolutionReason = r.text()
	}
	if r.failed || len(r.b) != 0 || bits > 7 || version == rowResolved && v.ResolutionReason == "" {
		return ErrRow
	}
	return nil
}

func flags(bits ...bool) byte {
	var b byte
	for i, set := range bits {
		if set {
			b |= 1 << i
		}
	}
	return b
}

func fieldVerdictBytes(v *product.FieldVerdicts) []byte {
	b := make([]byte, len(v))
	for i := range v {
		b[i] = byte(v[i])
	}
	return b
}

type writer struct{ b []byte }

func (w *writer) byte(b ...byte) { w.b = append(w.b, b...) }
func (w *writer) bytes(b []byte) { w.b = append(w.b, b...) }
func (w *writer) uint(n uint64)  { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) int(n int64)    { w.b = binary.AppendVarint(w.b, n) }
func (w *writer) text(s string)  { w.uint(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) time(t time.Time) {
	if t.IsZero() {
		w.int(0)
		return
	}
	w.int(t.UnixNano())
}

// reader decodes; after the first failure it gives zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n uint64) []byte {
	if r.failed || n > uint64(len(r.b)) {
		r.failed = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) bytes(dst []byte) { copy(dst, r.take(uint64(len(dst)))) }

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.failed = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) int() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.failed = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) text() string { return string(r.take(r.uint())) }

func (r *reader) time() time.Time {
	if n := r.int(); n != 0 {
		return time.Unix(0, n).UTC()
	}
	return time.Time{}
}
