// Package storetest is the contract of package store as tests. Every engine runs all of it:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) func() (store.Store, error) {
//			dir := t.TempDir()
//			return func() (store.Store, error) { return engine.Open(dir) }
//		})
//	}
//
// Guaranteed: each case has failed at least once. This package's own test runs them over an engine in memory
// that can be broken on purpose, in one way a case.
//
// Not guaranteed: what a case cannot see from outside, such as a crash in the middle of a flush, or what bytes
// lie on a disk. Each engine tests that itself.
package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store"
)

// Fresh makes a place that holds nothing, for one case, and returns what opens the store that is kept there. A
// case about durability closes the store and opens it again.
type Fresh func(t *testing.T) (open func() (store.Store, error))

// patience is how long a case may take.
const patience = time.Minute

// Run runs every case, each on a fresh store.
func Run(t *testing.T, fresh Fresh) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			run(ctx, t, c.run, fresh(t))
		})
	}
}

// reporter is what a case needs of a *testing.T. Fatalf ends the goroutine of the case.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// run runs one case.
func run(ctx context.Context, t reporter, c func(*env), open func() (store.Store, error)) {
	e := &env{reporter: t, ctx: ctx, open: open, base: time.Now().UTC().Truncate(time.Millisecond)}
	e.reopen()
	defer func() {
		if err := e.store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	c(e)
}

// cases is all there is.
var cases = []struct {
	name string
	run  func(*env)
}{
	{"text/documents", textDocuments},
	{"text/clients", textClients},
	{"text/counters", textCounters},
	{"text/notices", textNotices},
	{"text/origins", textOrigins},
	{"text/datasets", textDatasets},

	{"begin/restricted", beginRestricted},
	{"begin/consent by id", beginConsentByID},
	{"begin/consent by evidence", beginConsentByEvidence},
	{"begin/consent of another person", beginConsentOfAnother},
	{"begin/evidence of another notice", beginEvidenceOfAnotherNotice},
	{"begin/expired and renewed consents", beginConsentState},
	{"begin/tombstone", beginTombstone},
	{"begin/first refusal wins", beginOrder},
	{"begin/replay", beginReplay},
	{"begin/other content", beginOtherContent},
	{"begin/other client", beginOtherClient},
	{"begin/twin waits until its deadline", beginTwinDeadline},
	{"begin/twin gets the answer", beginTwinAnswer},
	{"begin/twin of other content", beginTwinOtherContent},
	{"begin/twin takes over a released claim", beginTwinRelease},
	{"begin/lease", beginLease},
	{"begin/lease frees reserves", beginLeaseReserves},
	{"begin/lease does not end a commit", beginLeaseCommit},
	{"begin/claims do not outlive a restart for long", beginReopen},
	{"begin/reserves", beginReserves},
	{"begin/unlimited reserve", beginUnlimited},
	{"peek/tells every refusal", peekTells},
	{"peek/claims nothing", peekClaimsNothing},

	{"commit/stores everything", commitStores},
	{"commit/durable", commitDurable},
	{"commit/settles at Wait", commitSettles},
	{"commit/withdrawn meanwhile", commitWithdrawn},
	{"commit/tombstone meanwhile", commitTombstone},
	{"commit/restricted meanwhile", commitRestricted},
	{"commit/subject withdrawn meanwhile", commitSubject},
	{"commit/struck meanwhile", commitStruck},
	{"commit/consent created meanwhile", commitCreated},
	{"commit/evidence taken by another person", commitEvidenceTaken},
	{"commit/not an open claim", commitToken},
	{"commit/release", commitRelease},
	{"commit/without consent", commitBasis},

	{"race/quota is exact", raceQuota},
	{"race/a hundred twins", raceTwins},
	{"race/withdrawal", raceWithdrawal},
	{"race/restriction", raceRestriction},
	{"race/one consent an evidence", raceConsent},
	{"race/documents", raceDocuments},
	{"race/usage", raceUsage},

	{"verifications/get", verificationsGet},
	{"verifications/list", verificationsList},
	{"verifications/list pages", verificationsPages},
	{"verifications/list under writes", verificationsUnderWrites},
	{"verifications/delete", verificationsDelete},
	{"pending/list", pendingList},
	{"pending/reserves", pendingReserves},
	{"pending/resolve", pendingResolve},
	{"pending/resolve as nothing", pendingNothing},

	{"consents/create", consentsCreate},
	{"consents/create again", consentsAgain},
	{"consents/create refused", consentsRefused},
	{"consents/get", consentsGet},
	{"consents/list", consentsList},
	{"consents/withdraw", consentsWithdraw},
	{"consents/withdraw evidence", consentsWithdrawEvidence},
	{"consents/withdraw subject", consentsWithdrawSubject},
	{"consents/withdraw by a later handle", consentsWithdrawLater},
	{"consents/durable", consentsDurable},

	{"counters/unknown", countersUnknown},
	{"usage/rows", usageRows},
	{"usage/replays", usageReplays},

	{"restrictions/kinds", restrictionsKinds},
	{"restrictions/until", restrictionsUntil},
	{"restrictions/durable", restrictionsDurable},

	{"documents/compare and set", documentsCAS},
	{"documents/list", documentsList},
	{"documents/values", documentsValues},

	{"datasets/import", datasetsImport},
	{"datasets/unfinished", datasetsUnfinished},
	{"datasets/lookup", datasetsLookup},
	{"datasets/lookup allocates nothing a record", datasetsAllocations},
	{"datasets/delete a record", datasetsDelete},
	{"datasets/drop", datasetsDrop},
	{"datasets/deletions", datasetsDeletions},
	{"datasets/compact", datasetsCompact},
	{"datasets/compact what is not there", datasetsCompactNothing},
	{"datasets/compact beside others", datasetsCompactBeside},

	{"reconciliation/mark", reconcileMark},
	{"reconciliation/committed", reconcileCommitted},
	{"reconciliation/void", reconcileVoid},
	{"reconciliation/void keeps what is used", reconcileVoidKeeps},
	{"reconciliation/restamp", reconcileRestamp},
	{"reconciliation/settled", reconcileSettled},
	{"reconciliation/restamp a resolution", reconcileRestampResolution},

	{"closed", closed},
}

// parallel runs f n times at once and waits for all. f must not call Fatalf.
func parallel(n int, f func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	all.Wait()
}
