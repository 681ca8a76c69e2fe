package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/usage"
	"github.com/heyan-project/heyan/verifier/workday"
)

// alike are texts that a careless engine takes for each other: letter case, Unicode form, a trailing space, the
// empty text, a zero byte.
var alike = []string{"caf\u00e9", "cafe\u0301", "Caf\u00e9", "CAFÉ", "café ", " café", "caf", "café\x00", "café\x00\x01", "café\xff", "\x00", ""}

func textDocuments(e *env) {
	for i, id := range alike {
		_, err := e.store.PutDocument(e.ctx, store.Clients, id, []byte(fmt.Sprint(i)), 0)
		e.must(err)
	}
	for i, id := range alike {
		doc, err := e.store.GetDocument(e.ctx, store.Clients, id)
		e.must(err)
		e.same("document", doc, store.Document{ID: id, Revision: 1, Value: []byte(fmt.Sprint(i))})
		_, err = e.store.GetDocument(e.ctx, store.Notices, id)
		e.wants(err, store.ErrNotFound)
	}
	all, err := e.store.ListDocuments(e.ctx, store.Clients, "", "", 0)
	e.must(err)
	e.same("documents", len(all), len(alike))
}

// someClients are those of alike that can be a client: not empty, for that means any.
func someClients() []string { return alike[:len(alike)-1] }

func textClients(e *env) {
	var made []*ledger.Verification
	for i, client := range someClients() {
		b := e.requestOf(client, fmt.Sprint(i), "alice")
		b.Request = sum("one request") // of many clients
		made = append(made, e.verify(b, pend))
	}
	day := workday.DateOf(e.now())
	for i, client := range someClients() {
		list := e.list(client, store.VerificationFilter{Limit: 10})
		e.same("verifications", ids(list), []ledger.ID{made[i].ID})
		pending, err := e.store.ListPending(e.ctx, client, "", ledger.ID{}, 10)
		e.must(err)
		e.same("pending", ids(pending), []ledger.ID{made[i].ID})
		consents, _, _, err := e.store.ListConsents(e.ctx, client, store.ConsentFilter{Limit: 10, Now: e.now()})
		e.must(err)
		e.same("consents", len(consents), 1)
		rows, err := e.store.Usage(e.ctx, client, day.AddDays(-1), day.AddDays(1))
		e.must(err)
		e.same("rows of usage", len(rows), 1)
	}
	pending, err := e.store.ListPending(e.ctx, "", "", ledger.ID{}, 100)
	e.must(err)
	for i := 1; i < len(pending); i++ {
		if strings.Compare(pending[i-1].Client, pending[i].Client) >= 0 {
			e.Errorf("clients are not in the order of their bytes")
		}
	}
	e.same("pending", len(pending), len(made))
}

func textCounters(e *env) {
	for i, key := range alike {
		b := e.request(fmt.Sprint(i))
		b.Reserves[0].Key, b.Reserves[0].Limit = key, 1
		e.claim(b)
	}
	for _, key := range alike {
		e.counter(key, 0, 1)
	}
}

func textNotices(e *env) {
	for _, text := range alike {
		e.onFileAs(e.consentOf(acme, text), "r", "alice")
	}
	for _, text := range alike {
		c, err := e.store.ConsentByEvidence(e.ctx, evidence("r"), text)
		e.must(err)
		e.same("the notice", c.Notice, text)
	}
}

func textOrigins(e *env) {
	for i, at := range alike {
		e.must(e.store.SetMark(e.ctx, at, uint64(i)))
		e.verify(e.request(fmt.Sprint(i)), func(c *ledger.Commit) {
			c.Verification.Log = ledger.Position{Origin: at, Index: uint64(i) + 300}
		})
	}
	for i, at := range alike {
		mark, err := e.store.Mark(e.ctx, at)
		e.must(err)
		e.same("mark", mark, uint64(i))
		list := e.committed(at, 0)
		if len(list) != 1 || list[0].Log != (ledger.Position{Origin: at, Index: uint64(i) + 300}) {
			e.Errorf("an origin has another's verifications")
		}
	}
}

func textDatasets(e *env) {
	for i, name := range alike {
		e.load(name, 1, []byte{byte(i)})
	}
	for i, name := range alike {
		e.same("records", e.lookup(name, 1, "anchor"), []string{string([]byte{byte(i)})})
	}
	e.reopen()
	e.same("records after a restart", e.lookup(alike[0], 1, "anchor"), []string{"\x00"})
}

func countersUnknown(e *env) { e.counter("never heard of", 0, 0) }

func usageRows(e *env) {
	today := workday.DateOf(e.now())
	var want []usage.Row
	for _, day := range []workday.Date{today.AddDays(-2), today.AddDays(-1), today} {
		for _, client := range []string{"a", "b"} {
			for _, of := range []product.ID{"id2", "phone2"} {
				for _, test := range []bool{false, true} {
					key := usage.Key{Day: day, Client: client, Product: of, Test: test}
					counts := usage.Of(product.NoRecord, product.Free, 0)
					counts.AmountFen = int64(len(want))
					e.verify(e.requestOf(client, fmt.Sprint(len(want)), "x"), func(c *ledger.Commit) {
						c.UsageKey, c.Usage = key, counts
					})
					want = append(want, usage.Row{Key: key, Counts: counts})
				}
			}
		}
	}
	for range 2 {
		rows, err := e.store.Usage(e.ctx, "", today.AddDays(-2), today)
		e.must(err)
		e.same("all rows", rows, want)
		rows, err = e.store.Usage(e.ctx, "", today.AddDays(-1), today.AddDays(-1))
		e.must(err)
		e.same("one day", rows, want[8:16])
		rows, err = e.store.Usage(e.ctx, "b", today, today.AddDays(5))
		e.must(err)
		e.same("one client", rows, want[20:24])
		e.reopen()
	}
}

func usageReplays(e *env) {
	key := usage.Key{Day: workday.DateOf(e.now()), Client: acme, Product: "id2"}
	for range 3 {
		e.must(e.store.CountReplay(e.ctx, key))
	}
	for range 2 {
		rows, err := e.store.Usage(e.ctx, acme, key.Day, key.Day)
		e.must(err)
		e.same("rows", rows, []usage.Row{{Key: key, Counts: usage.Counts{Replayed: 3}}})
		e.reopen()
	}
	e.verify(e.request("r"), func(c *ledger.Commit) { c.UsageKey = key })
	rows, err := e.store.Usage(e.ctx, acme, key.Day, key.Day)
	e.must(err)
	if len(rows) != 1 || rows[0].Replayed != 3 || rows[0].Billed != 1 {
		e.Errorf("rows: %+v", rows)
	}
}

// restricted wants the kinds of restriction that a person is under.
func (e *env) restricted(person string, want ...store.Restriction) {
	e.Helper()
	for _, kind := range []store.Restriction{store.Denied, store.Objected, store.Suppressed} {
		should := false
		for _, w := range want {
			should = should || w == kind
		}
		is, err := e.store.Restricted(e.ctx, append(restrictions("nobody"), restrictions(person)...), kind, e.now())
		e.must(err)
		if is != should {
			e.Errorf("%s under restriction %d: %v, want %v", person, kind, is, should)
		}
	}
}

func restrictionsKinds(e *env) {
	e.restricted("alice")
	both := append(restrictions("alice"), restrictions("bob")...)
	e.must(e.store.Restrict(e.ctx, both, store.Denied, time.Time{}))
	e.must(e.store.Restrict(e.ctx, both, store.Objected, time.Time{}))
	e.restricted("alice", store.Denied, store.Objected)
	e.must(e.store.Unrestrict(e.ctx, restrictions("alice"), store.Denied))
	e.must(e.store.Unrestrict(e.ctx, restrictions("alice"), store.Suppressed)) // was not there
	e.restricted("alice", store.Objected)
	e.restricted("bob", store.Denied, store.Objected)
	is, err := e.store.Restricted(e.ctx, nil, store.Denied, e.now())
	e.must(err)
	e.same("nobody", is, false)
}

func restrictionsUntil(e *env) {
	until := e.now().Add(time.Hour)
	is := func(at time.Time, want bool) {
		e.Helper()
		got, err := e.store.Restricted(e.ctx, restrictions("alice"), store.Denied, at)
		e.must(err)
		e.same("restricted", got, want)
	}
	e.must(e.store.Restrict(e.ctx, restrictions("alice"), store.Denied, until))
	is(until.Add(-time.Second), true)
	is(until, false)
	e.must(e.store.Restrict(e.ctx, restrictions("alice"), store.Denied, until.Add(time.Hour))) // in place of it
	is(until, true)
	e.must(e.store.Restrict(e.ctx, restrictions("alice"), store.Denied, time.Time{}))
	is(until.AddDate(100, 0, 0), true)
}

func restrictionsDurable(e *env) {
	e.must(e.store.Restrict(e.ctx, restrictions("alice"), store.Suppressed, time.Time{}))
	e.must(e.store.Restrict(e.ctx, restrictions("alice"), store.Denied, e.now().Add(time.Hour)))
	e.must(e.store.Restrict(e.ctx, restrictions("bob"), store.Denied, time.Time{}))
	e.must(e.store.Unrestrict(e.ctx, restrictions("bob"), store.Denied))
	e.reopen()
	e.restricted("alice", store.Suppressed, store.Denied)
	e.restricted("bob")
	e.beginRefused(e.requestOf(acme, "r", "alice"), fault.SubjectUnavailable)
}

func documentsCAS(e *env) {
	put := func(value string, expect, want int64) {
		e.Helper()
		got, err := e.store.PutDocument(e.ctx, store.Clients, "a", []byte(value), expect)
		if want == 0 {
			e.wants(err, store.ErrConflict)
			return
		}
		e.must(err)
		e.same("revision", got, want)
	}
	put("one", 1, 0)
	put("one", 0, 1)
	put("again", 0, 0)
	put("two", 1, 2)
	put("late", 1, 0)
	put("early", 3, 0)
	for range 2 {
		doc, err := e.store.GetDocument(e.ctx, store.Clients, "a")
		e.must(err)
		e.same("document", doc, store.Document{ID: "a", Revision: 2, Value: []byte("two")})
		e.reopen()
	}
}

func documentsList(e *env) {
	for _, id := range []string{"b/2", "a/10", "a/1", "c", "a/2", "a"} {
		_, err := e.store.PutDocument(e.ctx, store.Entitlements, id, []byte(id), 0)
		e.must(err)
	}
	_, err := e.store.PutDocument(e.ctx, store.Recipients, "a/3", nil, 0)
	e.must(err)
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          string
	}{
		{"", "", 0, "a a/1 a/10 a/2 b/2 c"},
		{"", "", -1, "a a/1 a/10 a/2 b/2 c"},
		{"", "", 2, "a a/1"},
		{"a/", "", 0, "a/1 a/10 a/2"},
		{"a/", "a/1", 0, "a/10 a/2"},
		{"a/", "a/1", 1, "a/10"},
		{"a/", "a", 0, "a/1 a/10 a/2"},
		{"", "a/10", 0, "a/2 b/2 c"},
		{"a/", "b", 0, ""},
		{"A", "", 0, ""},
	} {
		list, err := e.store.ListDocuments(e.ctx, store.Entitlements, c.prefix, c.after, c.limit)
		e.must(err)
		var got []string
		for _, doc := range list {
			if doc.Revision != 1 || string(doc.Value) != doc.ID {
				e.Errorf("document %q: %+v", doc.ID, doc)
			}
			got = append(got, doc.ID)
		}
		e.same(fmt.Sprintf("%q after %q", c.prefix, c.after), strings.Join(got, " "), c.want)
	}
}

// documentsValues: any bytes come back as they were, and nobody's later changes show.
func documentsValues(e *env) {
	for i, value := range [][]byte{nil, {}, {0}, []byte(" "), []byte("{\x00}"), make([]byte, 1<<20)} {
		id := fmt.Sprint(i)
		_, err := e.store.PutDocument(e.ctx, store.Policies, id, value, 0)
		e.must(err)
		want := string(value)
		if len(value) > 0 {
			value[0] = 'X'
		}
		for range 2 {
			doc, err := e.store.GetDocument(e.ctx, store.Policies, id)
			e.must(err)
			if string(doc.Value) != want {
				e.Errorf("value %d came back with %d other bytes", i, len(doc.Value))
			}
			if len(doc.Value) > 0 {
				doc.Value[0] = 'Y'
			}
		}
	}
}

// closed: after Close everything fails in one way, and Healthy says so.
func closed(e *env) {
	b := e.request("r")
	e.must(e.store.Healthy())
	c := e.answer(b, e.claim(b))
	s := e.store
	e.must(s.Close())
	_, begin := s.Begin(e.ctx, b)
	_, commit := s.Commit(e.ctx, c)
	s.Release(c.Token)
	_, get := s.Verification(e.ctx, acme, c.Verification.ID)
	_, _, _, list := s.ListVerifications(e.ctx, acme, store.VerificationFilter{Limit: 1})
	_, create := s.CreateConsent(e.ctx, c.NewConsent, c.Evidence, c.Handles, nil)
	_, withdraw := s.WithdrawSubject(e.ctx, "", c.Handles, c.Now)
	_, _, counter := s.Counter(e.ctx, quota)
	_, document := s.GetDocument(e.ctx, store.Clients, "a")
	_, put := s.PutDocument(e.ctx, store.Clients, "a", nil, 0)
	_, imports := s.ImportDataset(e.ctx, store.ImportInfo{Dataset: "d", Generation: 1})
	_, lookup := s.Lookup(e.ctx, "d", 1, sum("anchor"), func([]byte) error { return nil })
	_, mark := s.Mark(e.ctx, origin)
	for name, err := range map[string]error{
		"Begin": begin, "Commit": commit, "Verification": get, "ListVerifications": list, "CreateConsent": create,
		"WithdrawSubject": withdraw, "Counter": counter, "GetDocument": document, "PutDocument": put,
		"ImportDataset": imports, "Lookup": lookup, "Mark": mark, "Healthy": s.Healthy(),
		"Restrict": s.Restrict(e.ctx, restrictions("x"), store.Denied, time.Time{}),
		"Void":     s.Void(e.ctx, acme, c.Verification.ID),
	} {
		if !fault.Is(err, fault.StoreUnavailable) {
			e.Errorf("%s after Close: %v, want STORE_UNAVAILABLE", name, err)
		}
	}
	e.store = nil
	e.reopen()
	e.must(e.store.Healthy())
}
