package storetest

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/store"
)

// remove deletes a record that is there, at a time.
func (e *env) remove(dataset string, generation int64, anchor, record string, at time.Time) {
	e.Helper()
	was, err := e.store.DeleteRecord(e.ctx, dataset, generation, sum(anchor), []byte(record), at)
	e.must(err)
	e.same("was there", was, true)
}

func (e *env) deletions() []store.Deletions {
	e.Helper()
	list, err := e.store.ListDeletions(e.ctx)
	e.must(err)
	return list
}

func (e *env) compact(dataset string, generation, removed int64) store.Compaction {
	e.Helper()
	done, err := e.store.CompactDataset(e.ctx, dataset, generation)
	e.must(err)
	e.same("removed", done.Removed, removed)
	return done
}

func datasetsDeletions(e *env) {
	e.same("deletions of nothing", len(e.deletions()), 0)
	for _, dataset := range []string{"people", "cars"} {
		e.load(dataset, 1, []byte("a"), []byte("b"), []byte("c"))
	}
	e.load("people", 2, []byte("a"))
	early, late := e.now().Add(-5*time.Hour), e.now().Add(-time.Hour)
	e.remove("people", 2, "anchor", "a", early)
	e.remove("people", 1, "anchor", "b", late)
	e.remove("people", 1, "anchor", "a", early.Add(time.Minute)) // not in the order of time
	e.remove("people", 1, "anchor", "c", late)
	e.remove("cars", 1, "anchor", "c", late)
	_, err := e.store.DeleteRecord(e.ctx, "cars", 1, sum("anchor"), []byte("c"), early) // is deleted already
	e.must(err)
	want := []store.Deletions{
		{Dataset: "cars", Generation: 1, Records: 1, Since: late},
		{Dataset: "people", Generation: 1, Records: 3, Since: early.Add(time.Minute)},
		{Dataset: "people", Generation: 2, Records: 1, Since: early},
	}
	for range 2 {
		e.same("deletions", e.deletions(), want)
		e.reopen()
	}
	e.compact("people", 1, 3)
	for range 2 {
		e.same("deletions after a compaction", e.deletions(), []store.Deletions{want[0], want[2]})
		e.reopen()
	}
}

func datasetsCompact(e *env) {
	i := e.importing("people", 1)
	for n := range 40 {
		for _, record := range []string{"first", "second"} {
			e.must(i.Add(sum(fmt.Sprint(n)), []byte(record)))
		}
	}
	before, size, err := i.Finish()
	e.must(err)
	e.load("people", 2, []byte("a"))
	e.same("a file of which nothing is deleted", e.compact("people", 1, 0), store.Compaction{Anchors: before, Bytes: size})
	for n := range 10 { // of ten anchors one record, and of five of these the other too
		e.remove("people", 1, fmt.Sprint(n), "first", e.now())
		if n < 5 {
			e.remove("people", 1, fmt.Sprint(n), "second", e.now())
		}
	}
	e.remove("people", 2, "anchor", "a", e.now())
	done := e.compact("people", 1, 15)
	if done.Anchors != before-5 || done.Bytes <= 0 || done.Bytes > size {
		e.Errorf("%d anchors in %d bytes, of %d in %d", done.Anchors, done.Bytes, before, size)
	}
	for range 2 {
		for n := range 40 {
			want := []string{"first", "second"}
			switch {
			case n < 5:
				want = nil
			case n < 10:
				want = want[1:]
			}
			e.same("records", e.lookup("people", 1, fmt.Sprint(n)), want)
		}
		e.same("another generation", len(e.lookup("people", 2, "anchor")), 0)
		e.reopen()
	}
	was, err := e.store.DeleteRecord(e.ctx, "people", 1, sum("0"), []byte("first"), e.now())
	e.must(err)
	e.same("a removed record was there", was, false)
	_, err = e.store.ImportDataset(e.ctx, store.ImportInfo{Dataset: "people", Generation: 1})
	e.wants(err, store.ErrConflict) // it is the same generation
	e.remove("people", 1, "39", "first", e.now())
	e.compact("people", 1, 1)
	e.compact("people", 2, 1) // of which nothing is left
	for range 2 {
		e.same("records", e.lookup("people", 1, "39"), []string{"second"})
		e.same("a file without records", len(e.lookup("people", 2, "anchor")), 0)
		e.same("deletions", len(e.deletions()), 0)
		e.reopen()
	}
}

func datasetsCompactNothing(e *env) {
	absent := func(generation int64) {
		e.Helper()
		_, err := e.store.CompactDataset(e.ctx, "people", generation)
		e.wants(err, store.ErrNotFound)
	}
	absent(1)
	e.load("people", 1, []byte("a"))
	absent(2)
	e.remove("people", 1, "anchor", "a", e.now())
	e.must(e.store.DropGeneration(e.ctx, "people", 1))
	for _, left := range e.deletions() { // an engine may have to clear what it kept of them
		e.same("what a dropped generation has left", left.Records, int64(0))
		e.compact(left.Dataset, left.Generation, 0)
	}
	for range 2 {
		e.same("deletions", len(e.deletions()), 0)
		absent(1)
		e.reopen()
	}
}

// Whatever is deleted while compactions run stays deleted, and nothing else goes.
func datasetsCompactBeside(e *env) {
	const records, rounds = 60, 10
	i := e.importing("people", 1)
	e.must(i.Add(sum("anchor"), []byte("stays")))
	for n := range records {
		e.must(i.Add(sum("anchor"), fmt.Append(nil, n)))
		e.must(i.Add(sum(fmt.Sprint("another ", n)), []byte("stays")))
	}
	_, _, err := i.Finish()
	e.must(err)
	var gone, compactions, removed atomic.Int64 // gone is how many are deleted, from the first on
	var ended atomic.Bool
	acts := []func(){
		func() { // a few at a time, so that they meet many compactions
			for n := range int64(records) {
				for compactions.Load() < n*rounds/records && !ended.Load() && e.ctx.Err() == nil {
					runtime.Gosched()
				}
				if was, err := e.store.DeleteRecord(e.ctx, "people", 1, sum("anchor"), fmt.Append(nil, n), e.now()); err != nil || !was {
					e.Errorf("deleting record %d: %v, %v", n, was, err)
					ended.Store(true)
				}
				gone.Store(n + 1)
			}
		},
		func() {
			defer ended.Store(true)
			for last := false; !last && !ended.Load() && e.ctx.Err() == nil; {
				last = gone.Load() == records
				done, err := e.store.CompactDataset(e.ctx, "people", 1)
				if removed.Add(done.Removed); err != nil {
					e.Errorf("a compaction beside deletions: %v", err)
					return
				}
				compactions.Add(1)
			}
		},
		func() {
			for whole := true; whole && !ended.Load() && e.ctx.Err() == nil; {
				whole = e.besideCompaction(gone.Load(), records)
			}
		},
	}
	parallel(len(acts), func(i int) { acts[i]() })
	e.same("records that compactions removed", removed.Load(), int64(records))
	for range 2 {
		e.same("records", e.lookup("people", 1, "anchor"), []string{"stays"})
		e.same("deletions", len(e.deletions()), 0)
		e.reopen()
	}
}

// besideCompaction looks up what has to be found, and what was deleted before, and reports whether all is well.
func (e *env) besideCompaction(deleted, records int64) bool {
	stays, back := 0, 0
	_, err := e.store.Lookup(e.ctx, "people", 1, sum("anchor"), func(record []byte) error {
		var n int64
		if string(record) == "stays" {
			stays++
		} else if _, err := fmt.Sscan(string(record), &n); err != nil || n < deleted {
			back++
		}
		return nil
	})
	if err != nil || stays != 1 || back != 0 {
		e.Errorf("a look-up beside a compaction: %v, %d of a record that stays, %d deleted ones", err, stays, back)
		return false
	}
	known, err := e.store.Lookup(e.ctx, "people", 1, sum(fmt.Sprint("another ", records-1)), func([]byte) error { return nil })
	if err != nil || !known {
		e.Errorf("an anchor that stays, beside a compaction: %v, %v", known, err)
	}
	return err == nil && known
}
