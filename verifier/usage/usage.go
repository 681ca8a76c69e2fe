// Package usage counts what a client used, by day, product and kind of credential.
//
// A replay is counted apart: it is answered, and neither billed nor counted against a quota.
package usage

import (
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/workday"
)

// Key says what a row counts.
type Key struct {
	Day     workday.Date // at +08:00
	Client  string
	Product product.ID
	Test    bool
}

// Counts are the numbers of one row.
type Counts struct {
	Verdicts  [6]int64 // by product.Verdict; [0] counts those still pending
	Billed    int64
	AmountFen int64
	Replayed  int64
}

// Add adds d to c.
func (c *Counts) Add(d Counts) {
	for i := range c.Verdicts {
		c.Verdicts[i] += d.Verdicts[i]
	}
	c.Billed += d.Billed
	c.AmountFen += d.AmountFen
	c.Replayed += d.Replayed
}

// Row is one row.
type Row struct {
	Key
	Counts
}

// Of counts one new verification. priceFen is negative where no price is stated.
func Of(verdict product.Verdict, billing product.Billing, priceFen int64) Counts {
	var c Counts
	c.Verdicts[verdict] = 1
	if billing == product.Billed {
		c.Billed = 1
		if priceFen > 0 {
			c.AmountFen = priceFen
		}
	}
	return c
}
