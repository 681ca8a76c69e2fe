package storetest

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store"
)

// broken names, for each case, a way to break an engine that the case must notice.
var broken = map[string]string{
	"text/documents": "documents are folded",
	"text/clients":   "clients are folded",
	"text/counters":  "counters are folded",
	"text/notices":   "notices are folded",
	"text/origins":   "origins are folded",
	"text/datasets":  "datasets are folded",

	"begin/restricted":                               "Begin ignores restrictions",
	"begin/consent by id":                            "consents of all clients are one's own",
	"begin/consent by evidence":                      "consents are not found by evidence",
	"begin/consent of another person":                "a consent is anybody's",
	"begin/evidence of another notice":               "an evidence serves many people",
	"begin/expired and renewed consents":             "only withdrawn consents are refused",
	"begin/tombstone":                                "there are no tombstones",
	"begin/first refusal wins":                       "the request comes before the consent",
	"begin/replay":                                   "a replay takes quota",
	"begin/other content":                            "contents are not compared",
	"begin/other client":                             "request ids of all clients are one's own",
	"begin/twin waits until its deadline":            "twins do not wait",
	"begin/twin gets the answer":                     "twins see what is not durable",
	"begin/twin of other content":                    "contents are not compared",
	"begin/twin takes over a released claim":         "a release wakes nobody",
	"begin/lease":                                    "leases never end",
	"begin/lease frees reserves":                     "leases keep what they reserved",
	"begin/lease does not end a commit":              "leases end commits",
	"begin/claims do not outlive a restart for long": "claims outlive a restart",
	"begin/reserves":                                 "reserves of a refused request stay",
	"begin/unlimited reserve":                        "no limit is a limit of zero",
	"peek/tells every refusal":                       "a look ends at the first refusal",
	"peek/claims nothing":                            "a look claims",

	"commit/stores everything":                "remarks are forgotten",
	"commit/durable":                          "verifications are not durable",
	"commit/settles at Wait":                  "units are used before they are durable",
	"commit/withdrawn meanwhile":              "Commit ignores withdrawals",
	"commit/tombstone meanwhile":              "Commit ignores tombstones",
	"commit/restricted meanwhile":             "Commit ignores restrictions",
	"commit/subject withdrawn meanwhile":      "Commit ignores acts on a person",
	"commit/struck meanwhile":                 "a credential is struck for all",
	"commit/consent created meanwhile":        "equal consents are put on file twice",
	"commit/evidence taken by another person": "evidence is not looked at again",
	"commit/not an open claim":                "any token commits",
	"commit/release":                          "a release keeps what it reserved",
	"commit/without consent":                  "a legal basis creates a consent",

	"race/quota is exact":          "limits are off by one",
	"race/a hundred twins":         "twins do not wait",
	"race/withdrawal":              "acts take their time",
	"race/restriction":             "acts take their time",
	"race/one consent an evidence": "equal consents are put on file twice",
	"race/documents":               "revisions are not compared",
	"race/usage":                   "totals are not durable",

	"verifications/get":               "verifications are anybody's",
	"verifications/list":              "the end of a time is part of it",
	"verifications/list pages":        "there is always more",
	"verifications/list under writes": "a page skips a row",
	"verifications/delete":            "a deleted verification stays whole",
	"pending/list":                    "pending ones are sorted by id",
	"pending/reserves":                "pending units are used",
	"pending/resolve":                 "settled ones are pending",
	"pending/resolve as nothing":      "nothing is used all the same",

	"consents/create":                     "guardians are forgotten",
	"consents/create again":               "a new consent each time",
	"consents/create refused":             "a withdrawn consent is given again",
	"consents/get":                        "older revisions are forgotten",
	"consents/list":                       "expiry is not judged",
	"consents/withdraw":                   "a consent is withdrawn anew",
	"consents/withdraw evidence":          "there are no tombstones",
	"consents/withdraw subject":           "a person withdraws everywhere",
	"consents/withdraw by a later handle": "later handles are forgotten",
	"consents/durable":                    "withdrawals are not durable",

	"counters/unknown": "unknown counters are not found",
	"usage/rows":       "rows of usage are not sorted",
	"usage/replays":    "one replay is counted",

	"restrictions/kinds":   "lifting one lifts all",
	"restrictions/until":   "restrictions last too long",
	"restrictions/durable": "restrictions are not durable",

	"documents/compare and set": "revisions are not compared",
	"documents/list":            "prefixes are ignored",
	"documents/values":          "values are shared",

	"datasets/import":                            "equal records are kept twice",
	"datasets/unfinished":                        "an unfinished import is visible",
	"datasets/lookup":                            "errors of callers are lost",
	"datasets/lookup allocates nothing a record": "every record is copied",
	"datasets/delete a record":                   "a record is deleted everywhere",
	"datasets/drop":                              "deletions outlive their generation",
	"datasets/deletions":                         "deletions are dated anew at a start",
	"datasets/compact":                           "a compaction brings records back",
	"datasets/compact what is not there":         "a compaction finds everything",
	"datasets/compact beside others":             "a compaction forgets later deletions",

	"reconciliation/mark":                    "marks go down",
	"reconciliation/committed":               "deleted ones are not committed",
	"reconciliation/void":                    "a voided consent stays",
	"reconciliation/void keeps what is used": "a used consent is voided",
	"reconciliation/restamp":                 "positions never change",
	"reconciliation/settled":                 "settled ones stand where they were committed",
	"reconciliation/restamp a resolution":    "resolutions never move",

	"closed": "a closed engine answers",
}

// verdict is a reporter that remembers.
type verdict struct {
	failed atomic.Bool
	first  atomic.Pointer[string]
}

func (v *verdict) Helper() {}

func (v *verdict) Errorf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	v.first.CompareAndSwap(nil, &text)
	v.failed.Store(true)
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.Errorf(format, args...)
	runtime.Goexit()
}

// judge runs a case over an engine that is broken in one way, or in none.
func judge(t *testing.T, c func(*env), bug string) *verdict {
	v := &verdict{}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx, v, c, newDisk(bug).open)
	}()
	<-done
	return v
}

var _ store.Store = (*memory)(nil)

// Each case passes over a whole engine and fails over one that is broken in what the case is about.
func TestEveryCaseCanFail(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if v := judge(t, c.run, ""); v.failed.Load() {
				t.Errorf("fails over a whole engine: %s", *v.first.Load())
			}
			bug, named := broken[c.name]
			if !named {
				t.Fatal("nothing is known that this case would notice")
			}
			v := judge(t, c.run, bug)
			if !v.failed.Load() {
				t.Errorf("passes over an engine where %s", bug)
			} else {
				t.Logf("where %s: %s", bug, *v.first.Load())
			}
		})
	}
	if len(broken) != len(cases) {
		t.Errorf("%d ways to break an engine for %d cases", len(broken), len(cases))
	}
}
