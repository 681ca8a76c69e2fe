package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/fault"
)

// importing begins a generation.
func (e *env) importing(dataset string, generation int64) store.Importer {
	e.Helper()
	i, err := e.store.ImportDataset(e.ctx, store.ImportInfo{Dataset: dataset, Generation: generation, Suite: "suite"})
	e.must(err)
	return i
}

// load imports a generation of one anchor.
func (e *env) load(dataset string, generation int64, records ...[]byte) {
	e.Helper()
	i := e.importing(dataset, generation)
	for _, record := range records {
		e.must(i.Add(sum("anchor"), record))
	}
	_, _, err := i.Finish()
	e.must(err)
}

// lookup returns the records of an anchor, sorted, and wants known to say whether there are any.
func (e *env) lookup(dataset string, generation int64, anchor string) []string {
	e.Helper()
	var got []string
	known, err := e.store.Lookup(e.ctx, dataset, generation, sum(anchor), func(record []byte) error {
		got = append(got, string(record))
		return nil
	})
	e.must(err)
	if known != (len(got) > 0) {
		e.Errorf("known is %v with %d records", known, len(got))
	}
	slices.Sort(got)
	return got
}

// absent wants a generation not to be there.
func (e *env) absent(dataset string, generation int64) {
	e.Helper()
	_, err := e.store.Lookup(e.ctx, dataset, generation, sum("anchor"), func([]byte) error { return nil })
	e.refused(err, fault.StoreUnavailable)
}

func datasetsImport(e *env) {
	i := e.importing("people", 1)
	for _, n := range []int{3, 1, 2, 1, 3, 0} { // any order, some twice
		e.must(i.Add(sum(fmt.Sprint(n)), fmt.Appendf(nil, "record %d", n)))
		e.must(i.Add(sum(fmt.Sprint(n)), []byte("shared")))
	}
	anchors, size, err := i.Finish()
	e.must(err)
	if anchors != 4 || size <= 0 {
		e.Errorf("%d anchors in %d bytes, want 4", anchors, size)
	}
	i.Abort() // does nothing any more
	e.load("people", 2, []byte("another generation"))
	for range 2 {
		for n := range 4 {
			e.same("records", e.lookup("people", 1, fmt.Sprint(n)), []string{fmt.Sprintf("record %d", n), "shared"})
		}
		e.same("records of an unknown anchor", len(e.lookup("people", 1, "4")), 0)
		e.same("generation 2", e.lookup("people", 2, "anchor"), []string{"another generation"})
		_, err = e.store.ImportDataset(e.ctx, store.ImportInfo{Dataset: "people", Generation: 1})
		e.wants(err, store.ErrConflict)
		e.reopen()
	}
	e.absent("people", 3)
	e.absent("cars", 1)
}

func datasetsUnfinished(e *env) {
	i := e.importing("people", 1)
	e.must(i.Add(sum("anchor"), []byte("half")))
	e.absent("people", 1)
	i.Abort()
	e.absent("people", 1)
	i = e.importing("people", 1)
	e.must(i.Add(sum("anchor"), []byte("left behind")))
	e.load("people", 1, []byte("whole")) // overwrites it
	e.same("records", e.lookup("people", 1, "anchor"), []string{"whole"})
	if _, _, err := i.Finish(); err == nil {
		e.Errorf("an import that was overtaken finished")
	}
	i.Abort()
	e.same("records", e.lookup("people", 1, "anchor"), []string{"whole"})
	e.importing("people", 2)
	e.reopen()
	e.absent("people", 2)
	e.load("people", 2, []byte("after a restart"))
}

func datasetsLookup(e *env) {
	e.load("people", 1, []byte("a"), []byte("b"), []byte("a\x00"))
	e.same("records", e.lookup("people", 1, "anchor"), []string{"a", "a\x00", "b"})
	stop := errors.New("enough")
	calls := 0
	_, err := e.store.Lookup(e.ctx, "people", 1, sum("anchor"), func([]byte) error {
		calls++
		return stop
	})
	e.wants(err, stop)
	e.same("calls", calls, 1)
}

func datasetsAllocations(e *env) {
	i := e.importing("people", 1)
	for n := range 64 {
		e.must(i.Add(sum("many"), fmt.Appendf(nil, "record %d", n)))
	}
	e.must(i.Add(sum("one"), []byte("record")))
	_, _, err := i.Finish()
	e.must(err)
	seen := 0
	each := func([]byte) error { seen++; return nil }
	allocations := func(anchor string) float64 {
		digest := sum(anchor)
		return testing.AllocsPerRun(100, func() {
			if _, err := e.store.Lookup(e.ctx, "people", 1, digest, each); err != nil {
				e.Errorf("Lookup: %v", err)
			}
		})
	}
	// Under the race detector pools forget at random, so a look-up may make its buffers again; a record a time
	// would be 63 more.
	if one, many := allocations("one"), allocations("many"); many > one+20 {
		e.Errorf("%v allocations for 64 records, %v for one", many, one)
	}
	if seen == 0 {
		e.Errorf("no records")
	}
}

func datasetsDelete(e *env) {
	e.load("people", 1, []byte("a"), []byte("b"))
	e.load("people", 2, []byte("a"))
	del := func(record string, want bool) {
		e.Helper()
		was, err := e.store.DeleteRecord(e.ctx, "people", 1, sum("anchor"), []byte(record), e.now())
		e.must(err)
		e.same("was there", was, want)
	}
	del("A", false)
	del("a", true)
	del("a", false)
	_, err := e.store.DeleteRecord(e.ctx, "people", 3, sum("anchor"), []byte("a"), e.now())
	e.refused(err, fault.StoreUnavailable)
	for range 2 {
		e.same("records", e.lookup("people", 1, "anchor"), []string{"b"})
		e.same("another generation", e.lookup("people", 2, "anchor"), []string{"a"})
		e.reopen()
	}
	del("b", true)
	e.same("records", len(e.lookup("people", 1, "anchor")), 0)
}

func datasetsDrop(e *env) {
	e.must(e.store.DropGeneration(e.ctx, "people", 1)) // is not there
	e.load("people", 1, []byte("a"), []byte("b"))
	e.load("people", 2, []byte("a"))
	_, err := e.store.DeleteRecord(e.ctx, "people", 1, sum("anchor"), []byte("a"), e.now())
	e.must(err)
	var dropped atomic.Bool
	parallel(8, func(i int) {
		if i == 0 {
			pause()
			if err := e.store.DropGeneration(e.ctx, "people", 1); err != nil {
				e.Errorf("DropGeneration: %v", err)
			}
			dropped.Store(true)
			return
		}
		for after := false; !after && e.ctx.Err() == nil; {
			after = dropped.Load()
			n := 0
			_, err := e.store.Lookup(e.ctx, "people", 1, sum("anchor"), func(record []byte) error {
				if string(record) == "b" {
					n++
				}
				return nil
			})
			if err == nil && (n != 1 || after) || err != nil && !fault.Is(err, fault.StoreUnavailable) {
				e.Errorf("a look-up beside the drop: %d records, %v", n, err)
			}
		}
	})
	e.absent("people", 1)
	e.reopen()
	e.absent("people", 1)
	e.same("another generation", e.lookup("people", 2, "anchor"), []string{"a"})
	e.load("people", 1, []byte("a")) // its deletions went too
	e.same("records", e.lookup("people", 1, "anchor"), []string{"a"})
	_, err = e.store.DeleteRecord(e.ctx, "people", 1, sum("anchor"), []byte("a"), e.now())
	e.must(err)
	e.must(e.store.DropGeneration(e.ctx, "people", 1))
	e.load("people", 1, []byte("a"))
	e.reopen()
	e.same("records after a restart", e.lookup("people", 1, "anchor"), []string{"a"})
}
