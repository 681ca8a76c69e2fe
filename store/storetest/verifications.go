package storetest

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/usage"
)

func verificationsGet(e *env) {
	v := e.verify(e.request("r"))
	got, err := e.store.Verification(e.ctx, acme, v.ID)
	e.must(err)
	e.same("the verification", got, stored(v))
	_, err = e.store.Verification(e.ctx, "other", v.ID)
	e.wants(err, store.ErrNotFound)
	_, err = e.store.Verification(e.ctx, acme, e.id())
	e.wants(err, store.ErrNotFound)
}

// list walks all pages.
func (e *env) list(client string, f store.VerificationFilter) []*ledger.Verification {
	e.Helper()
	var all []*ledger.Verification
	for {
		list, next, more, err := e.store.ListVerifications(e.ctx, client, f)
		e.must(err)
		if len(list) > f.Limit {
			e.Errorf("%d in a page of %d", len(list), f.Limit)
		}
		all = append(all, list...)
		if !more {
			return all
		}
		if next.IsZero() || next == f.Before {
			e.Fatalf("more to come, and no way on")
		}
		f.Before = next
	}
}

func verificationsList(e *env) {
	when := e.base.Add(-48 * time.Hour)
	var made []*ledger.Verification
	for i := range 6 {
		made = append(made, e.verify(e.request(fmt.Sprint(i)), func(c *ledger.Commit) {
			v := c.Verification
			v.VerifyTime = when.Add(time.Duration(i) * time.Hour)
			c.UsageKey = usageKeyOf(v)
			switch i {
			case 1:
				v.Product = "phone2"
			case 2:
				v.LegalBasis = "aml"
			case 3:
				v.Reference = sum("reference")
			case 4:
				pend(c)
			}
		}))
	}
	e.verify(e.requestOf("other", "o", "o"))
	e.must(e.store.DeleteVerification(e.ctx, acme, made[5].ID))
	for name, c := range map[string]struct {
		filter store.VerificationFilter
		want   []int
	}{
		"everything":       {store.VerificationFilter{}, []int{4, 3, 2, 1, 0}},
		"from a time on":   {store.VerificationFilter{Start: when.Add(3 * time.Hour)}, []int{4, 3}},
		"until a time":     {store.VerificationFilter{End: when.Add(3 * time.Hour)}, []int{2, 1, 0}},
		"a product":        {store.VerificationFilter{Product: "phone2"}, []int{1}},
		"a legal basis":    {store.VerificationFilter{LegalBasis: "aml"}, []int{2}},
		"a state":          {store.VerificationFilter{State: ledger.Pending}, []int{4}},
		"a reference":      {store.VerificationFilter{Reference: sum("reference")}, []int{3}},
		"a request":        {store.VerificationFilter{Request: made[0].Request}, []int{0}},
		"before another":   {store.VerificationFilter{Before: made[2].ID}, []int{1, 0}},
		"nothing":          {store.VerificationFilter{Product: "ID2"}, nil},
		"two things":       {store.VerificationFilter{Product: "id2", End: when.Add(2 * time.Hour)}, []int{0}},
		"a deleted answer": {store.VerificationFilter{Request: made[5].Request}, nil},
	} {
		for _, c.filter.Limit = range []int{1, 2, 100} {
			want := []ledger.ID{}
			for _, i := range c.want {
				want = append(want, made[i].ID)
			}
			e.same(name, ids(e.list(acme, c.filter)), want)
		}
	}
	list, _, _, err := e.store.ListVerifications(e.ctx, acme, store.VerificationFilter{Limit: 1})
	e.must(err)
	if len(list) == 1 {
		e.same("the newest", list[0], stored(made[4]))
	}
}

func verificationsPages(e *env) {
	for i := range 4 {
		e.verify(e.request(fmt.Sprint(i)))
	}
	_, _, more, err := e.store.ListVerifications(e.ctx, acme, store.VerificationFilter{Limit: 4})
	e.must(err)
	if more {
		e.Errorf("more to come after the last")
	}
	list, next, more, err := e.store.ListVerifications(e.ctx, acme, store.VerificationFilter{Limit: 3})
	e.must(err)
	if len(list) != 3 || !more {
		e.Fatalf("%d of 3, more %v", len(list), more)
	}
	list, _, more, err = e.store.ListVerifications(e.ctx, acme, store.VerificationFilter{Limit: 3, Before: next})
	e.must(err)
	if len(list) != 1 || more {
		e.Errorf("the last page has %d rows, more %v", len(list), more)
	}
}

// verificationsUnderWrites: what was there before the walk began is in it once, whatever comes meanwhile.
func verificationsUnderWrites(e *env) {
	var before []ledger.ID
	for i := range 20 {
		before = append(before, e.verify(e.request(fmt.Sprint("before", i))).ID)
	}
	slices.Reverse(before)
	var done atomic.Bool
	parallel(2, func(i int) {
		if i == 0 {
			for range 5 {
				got := ids(e.list(acme, store.VerificationFilter{Limit: 3}))
				at := slices.Index(got, before[0])
				if at < 0 || !slices.Equal(got[at:], before) {
					e.Errorf("a walk under writes lost or doubled rows")
				}
			}
			done.Store(true)
			return
		}
		for j := 0; !done.Load() && e.ctx.Err() == nil; j++ {
			time.Sleep(time.Millisecond)
			b := e.request(fmt.Sprint("during", j))
			b.Reserves = nil
			begun, err := e.store.Begin(e.ctx, b)
			if err != nil {
				e.Errorf("Begin: %v", err)
				return
			}
			wait, err := e.store.Commit(e.ctx, e.answer(b, begun))
			if err == nil {
				err = wait()
			}
			if err != nil {
				e.Errorf("Commit: %v", err)
			}
		}
	})
}

func verificationsDelete(e *env) {
	b := e.request("r")
	v := e.verify(b, func(c *ledger.Commit) {
		c.Verification.Reference, c.Verification.ResolutionReason = sum("reference"), "by its statement of May"
	})
	e.wants(e.store.DeleteVerification(e.ctx, "other", v.ID), store.ErrNotFound)
	e.wants(e.store.DeleteVerification(e.ctx, acme, e.id()), store.ErrNotFound)
	e.replays(b, v)
	stripped := stored(v)
	stripped.Strip()
	e.must(e.store.DeleteVerification(e.ctx, acme, v.ID))
	e.must(e.store.DeleteVerification(e.ctx, acme, v.ID))
	for range 2 {
		got, err := e.store.Verification(e.ctx, acme, v.ID)
		e.must(err)
		e.same("what is left", got, stripped)
		e.beginRefused(b, fault.RequestIDReused)
		e.counter(quota, 1, 0)
		e.usage(1)
		e.reopen()
	}
	v = e.verify(e.request("p"), pend)
	e.wants(e.store.DeleteVerification(e.ctx, acme, v.ID), store.ErrConflict)
}

func pendingList(e *env) {
	var want []ledger.ID
	for _, client := range []string{"b", "a", "b", "c"} {
		e.verify(e.requestOf(client, fmt.Sprint("done", len(want)), "x"))
		want = append(want, e.verify(e.requestOf(client, fmt.Sprint(len(want)), "x"), pend).ID)
	}
	a, b1, b2, c := want[1], want[0], want[2], want[3]
	check := func(client, afterClient string, after ledger.ID, limit int, want ...ledger.ID) {
		e.Helper()
		list, err := e.store.ListPending(e.ctx, client, afterClient, after, limit)
		e.must(err)
		e.same("pending", ids(list), want)
	}
	check("", "", ledger.ID{}, 10, a, b1, b2, c)
	check("", "", ledger.ID{}, 2, a, b1)
	check("", "b", b1, 10, b2, c)
	check("", "b", b2, 10, c)
	check("b", "", ledger.ID{}, 10, b1, b2)
	check("b", "b", b1, 10, b2)
	check("b", "b", b2, 10, []ledger.ID{}...)
	list, err := e.store.ListPending(e.ctx, "nobody", "", ledger.ID{}, 10)
	e.must(err)
	e.same("pending of nobody", len(list), 0)
}

// pendingReserves: a pending answer holds its units, through a restart too.
func pendingReserves(e *env) {
	b := e.request("r")
	b.Reserves = append(b.Reserves, ledger.Reserve{Key: "cap", Limit: 1, Reason: fault.LegalBasisUnsupported})
	v := e.verify(b, pend)
	for range 2 {
		e.counter(quota, 0, 1)
		e.counter("cap", 0, 1)
		other := e.request("s")
		other.Reserves = b.Reserves[1:]
		e.beginRefused(other, fault.LegalBasisUnsupported)
		e.replays(b, v)
		e.reopen()
	}
}

// settled is a pending answer with a verdict.
func settled(v *ledger.Verification) (*ledger.Verification, usage.Counts) {
	to := *stored(v)
	to.State, to.Verdict, to.Billing = ledger.Active, product.Match, product.Billed
	to.Resolution, to.ResolutionReason = ledger.Position{Origin: origin, Index: 1000}, "by its statement of May"
	delta := usage.Of(product.Match, product.Billed, 30)
	delta.Verdicts[0] = -1
	return &to, delta
}

func pendingResolve(e *env) {
	b := e.request("r")
	v := e.verify(b, pend)
	to, delta := settled(v)
	unknown := *to
	unknown.ID = e.id()
	e.wants(e.store.ResolvePending(e.ctx, &unknown, delta), store.ErrNotFound)
	e.must(e.store.ResolvePending(e.ctx, to, delta))
	e.wants(e.store.ResolvePending(e.ctx, to, delta), store.ErrConflict)
	for range 2 {
		got, err := e.store.Verification(e.ctx, acme, v.ID)
		e.must(err)
		e.same("the settled answer", got, to)
		e.replays(b, to)
		e.counter(quota, 1, 0)
		e.usage(1)
		list, err := e.store.ListPending(e.ctx, "", "", ledger.ID{}, 10)
		e.must(err)
		e.same("pending", len(list), 0)
		e.reopen()
	}
}

func pendingNothing(e *env) {
	b := e.request("r")
	v := e.verify(b, pend)
	to := *stored(v)
	to.Strip()
	var delta usage.Counts
	delta.Verdicts[0] = -1
	e.must(e.store.ResolvePending(e.ctx, &to, delta))
	e.counter(quota, 0, 0)
	e.usage(0)
	e.beginRefused(b, fault.RequestIDReused)
	e.reopen()
	e.counter(quota, 0, 0)
	e.wants(e.store.ResolvePending(e.ctx, &to, delta), store.ErrConflict)
}
