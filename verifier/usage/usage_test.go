package usage_test

import (
	"testing"

	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/usage"
)

func TestOf(t *testing.T) {
	sum := usage.Counts{Replayed: 1}
	sum.Add(usage.Of(product.Match, product.Billed, 35))
	sum.Add(usage.Of(product.Mismatch, product.Billed, -1)) // no price stated
	sum.Add(usage.Of(product.NoRecord, product.Free, 35))
	sum.Add(usage.Of(0, product.BillingUnknown, 35))
	want := usage.Counts{Verdicts: [6]int64{1, 1, 1, 1}, Billed: 2, AmountFen: 35, Replayed: 1}
	if sum != want {
		t.Errorf("got %+v, want %+v", sum, want)
	}
}
