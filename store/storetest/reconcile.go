package storetest

import (
	"errors"
	"fmt"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

func reconcileMark(e *env) {
	mark := func(at string, want uint64) {
		e.Helper()
		got, err := e.store.Mark(e.ctx, at)
		e.must(err)
		e.same("mark", got, want)
	}
	mark(origin, 0)
	e.must(e.store.SetMark(e.ctx, origin, 7))
	mark(origin, 7)
	e.must(e.store.SetMark(e.ctx, origin, 5))
	mark(origin, 7)
	mark("node-2", 0)
	e.must(e.store.SetMark(e.ctx, origin, 1<<63))
	mark(origin, 1<<63)
}

// at puts an answer at a place in the log.
func at(where string, index uint64) func(*ledger.Commit) {
	return func(c *ledger.Commit) { c.Verification.Log = ledger.Position{Origin: where, Index: index} }
}

func reconcileCommitted(e *env) {
	made := map[uint64]ledger.ID{}
	for _, index := range []uint64{300, 5, 70000, 256, 4} {
		made[index] = e.verify(e.request(fmt.Sprint(index)), at(origin, index)).ID
	}
	e.verify(e.request("elsewhere"), at("node-2", 5))
	e.must(e.store.DeleteVerification(e.ctx, acme, made[256]))
	check := func(from uint64, want ...uint64) {
		e.Helper()
		list := []ledger.ID{}
		for _, index := range want {
			list = append(list, made[index])
		}
		e.same(fmt.Sprint("committed from ", from), ids(e.committed(origin, from)), list)
	}
	for range 2 {
		check(0, 4, 5, 256, 300, 70000)
		check(5, 5, 256, 300, 70000)
		check(257, 300, 70000)
		check(70001)
		e.reopen()
	}
	e.same("of a stranger", len(e.committed("nobody", 0)), 0)
	stop := errors.New("enough")
	calls := 0
	e.wants(e.store.Committed(e.ctx, origin, 0, func(*ledger.Verification) error { calls++; return stop }), stop)
	e.same("calls", calls, 1)
	e.must(e.store.SetMark(e.ctx, origin, 257))
	check(257, 300, 70000)
	e.usage(6) // dropping what is below a mark takes nothing from totals
	e.reopen()
	check(257, 300, 70000)
	e.usage(6)
	e.counter(quota, 6, 0)
}

func reconcileVoid(e *env) {
	for _, pending := range []bool{false, true} {
		b := e.request(fmt.Sprint("r", pending))
		c := e.answer(b, e.claim(b))
		if pending {
			pend(c)
		}
		v := e.commit(c)
		e.wants(e.store.Void(e.ctx, "other", v.ID), store.ErrNotFound)
		e.must(e.store.Committed(e.ctx, origin, 0, func(v *ledger.Verification) error {
			return e.store.Void(e.ctx, v.Client, v.ID) // as who reconciles does
		}))
		for range 2 {
			e.nothingOf(c)
			e.wants(e.store.Void(e.ctx, acme, v.ID), store.ErrNotFound)
			_, err := e.store.ConsentByEvidence(e.ctx, b.Consent.Evidence, notice)
			e.wants(err, store.ErrNotFound)
			list, err := e.store.ListPending(e.ctx, "", "", ledger.ID{}, 10)
			e.must(err)
			e.same("pending", len(list), 0)
			e.reopen()
		}
		// No link is left: the evidence may be another person's.
		b.Handles, b.Content, b.Now = handles("somebody else"), sum("other content"), e.now()
		again := e.claim(b)
		if again.Consent != nil {
			e.Errorf("a voided consent is still on file")
		}
		e.store.Release(again.Token)
	}
	v := e.verify(e.request("below"), at(origin, 1000))
	e.must(e.store.SetMark(e.ctx, origin, 1001))
	e.wants(e.store.Void(e.ctx, acme, v.ID), store.ErrConflict)
	e.usage(1)
}

func reconcileVoidKeeps(e *env) {
	first := e.requestOf(acme, "first", "alice")
	voided := e.verify(first)
	second := e.requestOf(acme, "second", "alice")
	second.Consent.Evidence = evidence("first")
	used := e.verify(second)
	e.same("one consent for both", used.Consent, voided.Consent)
	e.must(e.store.Void(e.ctx, acme, voided.ID))
	for range 2 {
		c, err := e.store.Consent(e.ctx, acme, used.Consent, 0)
		e.must(err)
		e.claim(under(e.requestOf(acme, "third", "alice"), c))
		e.replays(second, used)
		e.beginRefused(under(e.requestOf(acme, "fourth", "bob"), c), fault.ConsentSubjectMismatch)
		e.usage(1)
		e.reopen()
	}
	b := e.request("r")
	v := e.verify(b)
	_, err := e.store.WithdrawConsent(e.ctx, acme, v.Consent, e.now())
	e.must(err)
	e.must(e.store.Void(e.ctx, acme, v.ID))
	e.beginRefused(b, fault.ConsentWithdrawn) // a withdrawal is not forgotten
}

func reconcileRestamp(e *env) {
	v := e.verify(e.request("r"), at(origin, 5))
	to := ledger.Position{Origin: "node-2", Index: 9}
	e.wants(e.store.Restamp(e.ctx, acme, e.id(), to), store.ErrNotFound)
	e.wants(e.store.Restamp(e.ctx, "other", v.ID, to), store.ErrNotFound)
	e.must(e.store.Restamp(e.ctx, acme, v.ID, to))
	for range 2 {
		e.same("at the old place", len(e.committed(origin, 0)), 0)
		list := e.committed("node-2", 0)
		e.same("at the new place", ids(list), []ledger.ID{v.ID})
		if len(list) == 1 {
			e.same("position", list[0].Log, to)
		}
		e.usage(1)
		e.counter(quota, 1, 0)
		e.reopen()
	}
	e.must(e.store.Void(e.ctx, acme, v.ID))
	e.same("voided at the new place", len(e.committed("node-2", 0)), 0)
	e.usage(0)
}

// settle gives a pending answer a verdict, at a place in the log.
func (e *env) settle(v *ledger.Verification, where string, index uint64) *ledger.Verification {
	e.Helper()
	to, delta := settled(v)
	to.Resolution = ledger.Position{Origin: where, Index: index}
	e.must(e.store.ResolvePending(e.ctx, to, delta))
	return to
}

func (e *env) settledFrom(where string, from uint64) []*ledger.Verification {
	e.Helper()
	var list []*ledger.Verification
	e.must(e.store.Settled(e.ctx, where, from, func(v *ledger.Verification) error {
		list = append(list, v)
		return nil
	}))
	return list
}

func reconcileSettled(e *env) {
	made := map[uint64]ledger.ID{}
	for i, index := range []uint64{300, 5, 70000} {
		made[index] = e.settle(e.verify(e.request(fmt.Sprint(index)), pend, at(origin, uint64(i))), origin, index).ID
	}
	e.verify(e.request("still pending"), pend, at(origin, 3))
	e.verify(e.request("never pending"), at(origin, 4))
	e.settle(e.verify(e.request("elsewhere"), pend, at(origin, 6)), "node-2", 7)
	e.must(e.store.DeleteVerification(e.ctx, acme, made[5]))
	check := func(from uint64, want ...uint64) {
		e.Helper()
		list := []ledger.ID{}
		for _, index := range want {
			list = append(list, made[index])
		}
		e.same(fmt.Sprint("settled from ", from), ids(e.settledFrom(origin, from)), list)
	}
	for range 2 {
		check(0, 5, 300, 70000)
		check(6, 300, 70000)
		check(70001)
		e.reopen()
	}
	stop := errors.New("enough")
	e.wants(e.store.Settled(e.ctx, origin, 0, func(*ledger.Verification) error { return stop }), stop)
	e.must(e.store.Void(e.ctx, acme, made[70000]))
	check(0, 5, 300)
	e.must(e.store.SetMark(e.ctx, origin, 6))
	for range 2 {
		check(0, 300)
		e.same("of another origin", len(e.settledFrom("node-2", 0)), 1)
		e.reopen()
	}
}

func reconcileRestampResolution(e *env) {
	v := e.verify(e.request("r"), pend)
	to := ledger.Position{Origin: "node-2", Index: 9}
	e.wants(e.store.RestampResolution(e.ctx, acme, e.id(), to), store.ErrNotFound)
	e.wants(e.store.RestampResolution(e.ctx, acme, v.ID, to), store.ErrConflict)
	e.settle(v, origin, 1000)
	e.must(e.store.RestampResolution(e.ctx, acme, v.ID, to))
	for range 2 {
		e.same("at the old place", len(e.settledFrom(origin, 0)), 0)
		list := e.settledFrom("node-2", 0)
		e.same("at the new place", ids(list), []ledger.ID{v.ID})
		if len(list) == 1 {
			e.same("resolution", list[0].Resolution, to)
			e.same("position", list[0].Log, v.Log)
		}
		e.usage(1)
		e.counter(quota, 1, 0)
		e.reopen()
	}
}
