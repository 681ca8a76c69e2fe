package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

const callers = 64

// raceQuota: of many requests exactly as many pass as the limit allows, some being released on the way.
func raceQuota(e *env) {
	const limit = 40
	var committed, refused atomic.Int64
	parallel(callers, func(i int) {
		for j := range 3 {
			b := e.request(fmt.Sprintf("%d-%d", i, j))
			b.Reserves[0].Limit = limit
			begun, err := e.store.Begin(e.ctx, b)
			if err != nil {
				e.refused(err, fault.QuotaExceeded)
				refused.Add(1)
				continue
			}
			if used, reserved, err := e.store.Counter(e.ctx, quota); err != nil || used+reserved > limit {
				e.Errorf("%d used and %d reserved, over %d: %v", used, reserved, limit, err)
			}
			if i%8 == 0 {
				e.store.Release(begun.Token)
				continue
			}
			wait, err := e.store.Commit(e.ctx, e.answer(b, begun))
			if err == nil {
				err = wait()
			}
			if err != nil {
				e.Errorf("Commit: %v", err)
			}
			committed.Add(1)
		}
	})
	if n := committed.Load(); n > limit {
		e.Errorf("%d commits, limit %d", n, limit)
	}
	for i := int64(0); committed.Load() < limit; i++ { // what was given back is there for others
		b := e.request(fmt.Sprintf("rest %d", i))
		b.Reserves[0].Limit = limit
		e.verify(b)
		committed.Add(1)
	}
	b := e.request("one more")
	b.Reserves[0].Limit = limit
	e.beginRefused(b, fault.QuotaExceeded)
	e.counter(quota, limit, 0)
	e.usage(limit)
	if refused.Load() == 0 {
		e.Errorf("nothing was refused")
	}
}

// raceTwins: of a hundred equal requests one is answered, the others get that answer.
func raceTwins(e *env) {
	var commits, replays atomic.Int64
	var ids sync.Map
	parallel(100, func(int) {
		b := e.request("r")
		begun, err := e.store.Begin(e.ctx, b)
		if err != nil {
			e.Errorf("Begin: %v", err)
			return
		}
		if begun.Replay != nil {
			replays.Add(1)
			ids.Store(begun.Replay.ID, true)
			return
		}
		pause() // so that the others are there
		c := e.answer(b, begun)
		wait, err := e.store.Commit(e.ctx, c)
		if err == nil {
			err = wait()
		}
		if err != nil {
			e.Errorf("Commit: %v", err)
		}
		commits.Add(1)
		ids.Store(c.Verification.ID, true)
	})
	different := 0
	ids.Range(func(any, any) bool { different++; return true })
	if commits.Load() != 1 || replays.Load() != 99 || different != 1 {
		e.Errorf("%d commits, %d replays, %d ids", commits.Load(), replays.Load(), different)
	}
	e.counter(quota, 1, 0)
	e.usage(1)
}

// race runs verifications of one person beside an act, and wants none to pass that begins or commits after the
// act returned.
func (e *env) race(act func() error, want fault.Reason, request func(name string) *ledger.Begin) {
	e.Helper()
	var over atomic.Bool
	var passed atomic.Int64
	parallel(16, func(i int) {
		if i == 0 {
			for passed.Load() < 20 && e.ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			if err := act(); err != nil {
				e.Errorf("the act: %v", err)
			}
			over.Store(true)
			return
		}
		for j, last := 0, false; !last && e.ctx.Err() == nil; j++ {
			last = over.Load()
			b := request(fmt.Sprintf("%d-%d", i, j))
			begun, err := e.store.Begin(e.ctx, b)
			if err != nil {
				e.refused(err, want)
				continue
			}
			if last {
				e.Errorf("Begin passed after the act")
			}
			last = over.Load()
			wait, err := e.store.Commit(e.ctx, e.answer(b, begun))
			if err != nil {
				e.refused(err, want)
				continue
			}
			if err := wait(); err != nil {
				e.Errorf("Wait: %v", err)
			}
			if last {
				e.Errorf("Commit passed after the act")
			}
			passed.Add(1)
		}
	})
	e.counter(quota, passed.Load(), 0)
}

func raceWithdrawal(e *env) {
	c := e.onFile("r", "alice")
	e.race(func() error {
		_, err := e.store.WithdrawConsent(e.ctx, acme, idOf(c), e.now())
		return err
	}, fault.ConsentWithdrawn, func(name string) *ledger.Begin {
		b := e.requestOf(acme, name, "alice")
		b.Reserves[0].Limit = -1
		return under(b, c)
	})
}

func raceRestriction(e *env) {
	e.race(func() error {
		return e.store.Restrict(e.ctx, restrictions("alice"), store.Denied, time.Time{})
	}, fault.SubjectUnavailable, func(name string) *ledger.Begin {
		b := e.requestOf(acme, name, "alice")
		b.Reserves[0].Limit = -1
		return b
	})
}

// raceConsent: many first requests under one evidence, with and without registrations beside them, leave one
// consent.
func raceConsent(e *env) {
	const people, each = 12, 6
	parallel(people*each, func(i int) {
		person := fmt.Sprint("person ", i%people)
		if i < people && i%2 == 0 {
			pause() // so that the others find nothing on file
			if _, err := e.store.CreateConsent(e.ctx, e.consentOf(acme, notice), evidence(person), handles(person), nil); err != nil {
				e.Errorf("CreateConsent: %v", err)
			}
			return
		}
		b := e.requestOf(acme, fmt.Sprint(i), person)
		b.Consent.Evidence = evidence(person)
		begun, err := e.store.Begin(e.ctx, b)
		if err != nil {
			e.Errorf("Begin: %v", err)
			return
		}
		pause()
		wait, err := e.store.Commit(e.ctx, e.answer(b, begun))
		if err == nil {
			err = wait()
		}
		if err != nil {
			e.Errorf("Commit: %v", err)
		}
	})
	list, _, _, err := e.store.ListConsents(e.ctx, acme, store.ConsentFilter{Limit: 1000, Now: e.now()})
	e.must(err)
	onFile := map[ledger.ID]bool{}
	for _, c := range list {
		onFile[idOf(c)] = true
	}
	if len(onFile) != people {
		e.Fatalf("%d consents of %d people", len(onFile), people)
	}
	for _, v := range e.committed(origin, 0) {
		if !onFile[v.Consent] {
			e.Errorf("an answer rests on a consent that is not on file")
		}
	}
}

func raceDocuments(e *env) {
	const each = 5
	parallel(callers, func(int) {
		for done := 0; done < each && e.ctx.Err() == nil; {
			doc, err := e.store.GetDocument(e.ctx, store.Clients, "counter")
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				e.Errorf("GetDocument: %v", err)
				return
			}
			if doc.Revision == 0 {
				pause() // so that all replace the same revision
			}
			_, err = e.store.PutDocument(e.ctx, store.Clients, "counter", append(doc.Value, 'x'), doc.Revision)
			switch {
			case err == nil:
				done++
			case !errors.Is(err, store.ErrConflict):
				e.Errorf("PutDocument: %v", err)
				return
			}
		}
	})
	doc, err := e.store.GetDocument(e.ctx, store.Clients, "counter")
	e.must(err)
	if doc.Revision != callers*each || len(doc.Value) != callers*each {
		e.Errorf("revision %d and %d bytes, want %d", doc.Revision, len(doc.Value), callers*each)
	}
}

// raceUsage: sums are exact, also after a restart.
func raceUsage(e *env) {
	parallel(callers, func(i int) {
		for j := range 2 {
			b := e.request(fmt.Sprintf("%d-%d", i, j))
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
	e.usage(2 * callers)
	e.counter(quota, 2*callers, 0)
	e.reopen()
	e.usage(2 * callers)
	e.counter(quota, 2*callers, 0)
}
