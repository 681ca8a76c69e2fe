package netlog

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// TestSieve refuses no record that matches, most of those that do not, and nothing that it cannot read.
func TestSieve(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	at := func(n int) time.Time { return moment.Add(time.Duration(n) * time.Second) }
	queries := map[string]*struct {
		Query
		parsed int // at most, beside those that match, of a hundred that do not
	}{
		"everything":       {Query{}, 100},
		"client":           {Query{Client: "client-7"}, 1}, // an operator on its behalf
		"actor":            {Query{Actor: "client-7"}, 0},
		"both":             {Query{Client: "client-7", Actor: "cai"}, 1},
		"session":          {Query{Session: "session-30"}, 0},
		"address":          {Query{Source: netip.MustParsePrefix("203.0.5.77/32")}, 10}, // counted prefixes
		"counted":          {Query{Source: netip.MustParsePrefix("203.0.5.0/32")}, 10},
		"IPv6":             {Query{}, 10},
		"network":          {Query{Source: netip.MustParsePrefix("203.0.5.0/24")}, 100},
		"method":           {Query{Method: "/heyan.v1.AdminService/CreateClient"}, 0},
		"event":            {Query{Event: record.AuthFailed}, 0},
		"verification":     {Query{}, 0},
		"reason":           {Query{Reason: "CONSENT_MISSING"}, 0},
		"product":          {Query{Product: "phone3"}, 0},
		"time":             {Query{From: at(1000), To: at(1100)}, 0},
		"the moment alone": {Query{From: at(1000), To: at(1000).Add(1)}, 0},
		"before 1970":      {Query{From: time.Unix(-5, 0), To: time.Unix(-1, 0)}, 0},
		"all":              {Query{Client: "client-7", Session: "session-30", Product: "id2", Method: "/heyan.v1.VerificationService/Verify"}, 0},
	}
	var records []*record.Record
	for n := range 5000 {
		r := varied(random, n)
		if records = append(records, r); r.Source.IP.Is6() {
			queries["IPv6"].Source = netip.PrefixFrom(r.Source.IP, 128)
		}
		if r.Object.ID != "" {
			queries["verification"].Verification = r.Object.ID
		}
	}
	matched, others, parsed := map[string]int{}, map[string]int{}, map[string]int{}
	for n := range records {
		leaf, err := record.Append(nil, records[n])
		if err != nil {
			t.Fatal(err)
		}
		r, err := record.Parse(leaf)
		if err != nil {
			t.Fatal(err)
		}
		for name, q := range queries {
			passes := q.sieve().passes(leaf)
			switch {
			case q.Match(&r):
				matched[name]++
				if !passes {
					t.Fatalf("%s: record %d matches and is refused", name, n)
				}
			default:
				others[name]++
				if passes {
					parsed[name]++
				}
			}
		}
		if session := queries["session"]; !session.sieve().passes(leaf[:4]) { // within the time
			t.Fatal("a record that is cut short is refused before anybody said what is wrong")
		}
	}
	for name, q := range queries {
		if matched[name] == 0 && name != "before 1970" && name != "both" {
			t.Errorf("%s: no record matches", name)
		}
		if parsed[name]*100 > q.parsed*others[name] {
			t.Errorf("%s: %d of %d records that do not match are parsed", name, parsed[name], others[name])
		}
	}
}

// FuzzSieve refuses nothing that matches, whatever the bytes are.
func FuzzSieve(f *testing.F) {
	random := rand.New(rand.NewPCG(7, 8))
	for n := range 50 {
		leaf, err := record.Append(nil, varied(random, n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(leaf)
	}
	f.Fuzz(func(t *testing.T, leaf []byte) {
		r, err := record.Parse(leaf)
		if err != nil {
			_ = (&Query{Client: "c", Session: "s"}).sieve().passes(leaf) // it must not panic
			return
		}
		q := Query{From: r.Time, To: r.Time.Add(1), Actor: r.Actor.ID, Method: r.Action, Event: r.Event, Reason: r.Outcome.Reason, Session: r.Session}
		if r.Processing != nil {
			q.Product = r.Processing.Product
		}
		if r.Object.Type == "verification" {
			q.Verification = r.Object.ID
		}
		if r.Source.IP.IsValid() {
			q.Source = netip.PrefixFrom(r.Source.IP, r.Source.IP.BitLen())
		}
		if q.Match(&r) && !q.sieve().passes(leaf) {
			t.Error("a record that matches is refused")
		}
	})
}
