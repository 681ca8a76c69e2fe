package ledger_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/usage"
)

var now = time.Date(2026, 11, 22, 4, 0, 0, 123, time.UTC)

func TestID(t *testing.T) {
	var ids []string
	for i := range 100 {
		id, err := ledger.NewID(now.Add(time.Duration(i)*time.Millisecond), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		text := id.String()
		if len(text) != 36 || text[14] != '7' || !strings.ContainsRune("89ab", rune(text[19])) {
			t.Fatalf("%s is no UUIDv7", text)
		}
		parsed, err := ledger.ParseID(text)
		if err != nil || parsed != id || !id.Time().Equal(now.Add(time.Duration(i)*time.Millisecond).Truncate(time.Millisecond)) {
			t.Fatalf("%s: %v, %v, %v", text, parsed, err, id.Time())
		}
		ids = append(ids, text)
	}
	if !slices.IsSorted(ids) {
		t.Error("ids do not sort by time")
	}
	for _, bad := range []string{"", "x", "01900000-0000-7000-8000-00000000000", "01900000-0000-7000-8000-00000000000G",
		"01900000-0000-7000-8000-00000000000A", "01900000x0000-7000-8000-000000000000", "00000000-0000-0000-0000-000000000000"} {
		if _, err := ledger.ParseID(bad); !errors.Is(err, ledger.ErrID) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// full is a verification with no zero member, so that a member the codec forgets is seen.
func full(t testing.TB) *ledger.Verification {
	t.Helper()
	v := &ledger.Verification{}
	fill(t, reflect.ValueOf(v).Elem(), new(int64))
	return v
}

func fill(t testing.TB, v reflect.Value, n *int64) {
	t.Helper()
	*n++
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(now.Add(time.Duration(*n))))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", int(*n%7)+1))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(uint64(*n%200 + 1))
	case reflect.Int64:
		v.SetInt(*n)
	default:
		t.Fatalf("verifications hold a %v now: teach this test", v.Type())
	}
}

func TestCodecForgetsNothing(t *testing.T) {
	v := full(t)
	encoded := ledger.AppendVerification(nil, v)
	var got ledger.Verification
	if err := ledger.ParseVerification(encoded, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*v, got) {
		t.Errorf("got %+v\nwant %+v", got, *v)
	}
	for n := range encoded {
		if err := ledger.ParseVerification(encoded[:n], &got); err == nil {
			t.Fatalf("a row cut at %d of %d was read", n, len(encoded))
		}
	}
	if err := ledger.ParseVerification(append(encoded, 0), &got); !errors.Is(err, ledger.ErrRow) {
		t.Errorf("a byte more: %v", err)
	}
	encoded[0] = 99
	if err := ledger.ParseVerification(encoded, &got); !errors.Is(err, ledger.ErrRowNewer) {
		t.Errorf("a newer row: %v", err)
	}
}

// Rows of an earlier release are read, and those that need nothing newer are written as it did.
func TestCodecReadsEarlierRows(t *testing.T) {
	v := full(t)
	v.ResolutionReason = ""
	encoded := ledger.AppendVerification(nil, v)
	var got ledger.Verification
	if err := ledger.ParseVerification(encoded, &got); err != nil || encoded[0] != 1 || !reflect.DeepEqual(*v, got) {
		t.Errorf("version %d: %v", encoded[0], err)
	}
	encoded[0] = 2 // which has a reason
	for _, row := range [][]byte{encoded, append(encoded, 0)} {
		if err := ledger.ParseVerification(row, &got); !errors.Is(err, ledger.ErrRow) {
			t.Errorf("a second form of a row: %v", err)
		}
	}
}

func FuzzParseVerification(f *testing.F) {
	f.Add(ledger.AppendVerification(nil, full(f)))
	f.Add(ledger.AppendVerification(nil, &ledger.Verification{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v, again ledger.Verification
		if ledger.ParseVerification(b, &v) != nil {
			return
		}
		encoded := ledger.AppendVerification(nil, &v)
		if err := ledger.ParseVerification(encoded, &again); err != nil || !reflect.DeepEqual(v, again) {
			t.Errorf("printing and reading again: %v", err)
		}
		if !bytes.Equal(encoded, ledger.AppendVerification(nil, &again)) {
			t.Error("one row has two forms")
		}
	})
}

// What is left of a deleted verification is who, when, for what, under which ground, to whom.
func TestStrip(t *testing.T) {
	v := full(t)
	want := *v
	v.Strip()
	if v.Verdict != 0 || v.FieldVerdicts != (product.FieldVerdicts{}) || v.SourceCode != "" || v.Dataset != "" || v.Remarks != nil || !v.Reference.IsZero() || v.ResolutionReason != "" {
		t.Errorf("%+v", v)
	}
	if v.ID != want.ID || v.Client != want.Client || v.Product != want.Product || v.Purpose != want.Purpose || v.Consent != want.Consent ||
		v.LegalBasis != want.LegalBasis || v.Recipient != want.Recipient || v.VerifyTime != want.VerifyTime || v.Request != want.Request || v.Log != want.Log {
		t.Errorf("the processing record lost something: %+v", v)
	}
	if v.Visible(now.Add(-time.Hour)) {
		t.Error("a deleted verification is visible")
	}
}

// Of a pending verification a verdict changes the outcome and nothing else; without one the call never happened.
func TestSettle(t *testing.T) {
	pending := full(t)
	pending.State, pending.Verdict, pending.Billing, pending.PriceFen = ledger.Pending, 0, product.BillingUnknown, 35
	got, want := *pending, *pending
	want.State, want.Verdict, want.Billing, want.ReconcileBy = ledger.Active, product.Mismatch, product.Billed, time.Time{}
	if delta := got.Settle(product.Mismatch, product.Billed); !reflect.DeepEqual(got, want) ||
		delta != (usage.Counts{Verdicts: [6]int64{-1, 0, 1}, Billed: 1, AmountFen: 35}) {
		t.Errorf("settled as %+v\nwant %+v\nadding %+v", got, want, delta)
	}
	got, want = *pending, *pending
	want.Billing, want.ReconcileBy = product.Free, time.Time{}
	want.Strip()
	if delta := got.Settle(0, product.Free); !reflect.DeepEqual(got, want) || delta != (usage.Counts{Verdicts: [6]int64{-1}}) {
		t.Errorf("never happened: %+v\nwant %+v\nadding %+v", got, want, delta)
	}
}

func TestVisible(t *testing.T) {
	v := ledger.Verification{State: ledger.Active, ExpireTime: now}
	if !v.Visible(now.Add(-1)) || v.Visible(now) {
		t.Error("a verdict is gone at its expiry")
	}
}

func BenchmarkAppendVerification(b *testing.B) {
	v := &ledger.Verification{Client: "acme", Product: "id2", Fields: field.SetOf(field.Name, field.IDNumber), Source: "registry", Dataset: "people/3",
		VerifyTime: now, ExpireTime: now, QuotaKey: "quota/acme/id2/live/2026-11", Log: ledger.Position{Origin: "node1-0123456789abcdef", Index: 1000}}
	buffer := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buffer = ledger.AppendVerification(buffer[:0], v)
	}
	b.SetBytes(int64(len(buffer)))
}
