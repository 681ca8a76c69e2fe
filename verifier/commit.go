package verifier

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/source"
	"github.com/heyan-project/heyan/verifier/usage"
	"github.com/heyan-project/heyan/verifier/workday"
)

// Owner names whose references are meant: a client's live ones, or those of its test credentials, which are kept
// apart. A live call is never answered with what the simulator said, nor the other way round.
func Owner(client string, test bool) string {
	if test {
		return client + " test" // no client's id holds a space
	}
	return client
}

// RequestKey is the keyed digest of a request_id of an [Owner].
func RequestKey(keys *digest.Keyring, owner, requestID string) digest.Digest {
	return keys.Text(digest.Idempotency, owner, requestID)
}

// EvidenceKey is the keyed digest of an evidence reference of an [Owner].
func EvidenceKey(keys *digest.Keyring, owner, evidenceRef string) digest.Digest {
	return keys.Text(digest.Consent, owner, evidenceRef)
}

// ReferenceKey is the keyed digest of a client_reference of an [Owner].
func ReferenceKey(keys *digest.Keyring, owner, reference string) digest.Digest {
	return keys.Text(digest.Reference, owner, reference)
}

// QuotaKey names the counter of an entitlement's quota.
func QuotaKey(client string, id product.ID, test bool, q product.Quota, now time.Time) string {
	return "quota/" + client + "/" + string(id) + "/" + mode(test) + "/" + q.Period.Key(now)
}

// BasisKey names the counter of a legal basis's daily cap. Test credentials have one of their own.
func BasisKey(id string, test bool, now time.Time) string {
	return "basis/" + id + "/" + mode(test) + "/" + product.Daily.Key(now)
}

func mode(test bool) string {
	if test {
		return "test"
	}
	return "live"
}

// begin describes the claim.
func (c *call) begin() *ledger.Begin {
	b := &ledger.Begin{
		Client: c.caller.Client, Credential: c.caller.Credential, Product: string(c.product.ID), Request: c.requestKey, Content: c.contentDigest(),
		Handles: c.handles, Restrictions: c.restrictions, Lease: leaseTime, Now: c.now, Renewal: c.renewal,
	}
	if c.request.Consent != nil {
		b.Consent = ledger.ConsentUse{Notice: c.notice.ID, Evidence: c.evidence}
	} else {
		b.Consent.ID = c.consentID
	}
	quota := c.entitlement.QuotaFor(c.caller.Test)
	b.Reserves = append(b.Reserves, ledger.Reserve{
		Key: c.quotaKey(), Limit: quota.Limit, Reason: fault.QuotaExceeded, Name: "quota of " + string(c.product.ID)})
	if c.basis != nil {
		b.Reserves = append(b.Reserves, ledger.Reserve{
			Key: BasisKey(c.basis.ID, c.caller.Test, c.now), Limit: c.basis.DailyCap, Reason: fault.LegalBasisUnsupported, Name: "daily cap of the legal basis"})
	}
	return b
}

func (c *call) quotaKey() string {
	return QuotaKey(c.caller.Client, c.product.ID, c.caller.Test, c.entitlement.QuotaFor(c.caller.Test), c.now)
}

// contentDigest is what a replay has to agree in: product, purpose, canonical fields with their forms, plate
// kind, consent or basis. The purpose is the settled one: whoever left it out may state on a replay what the reply
// told, and the other way round. It is keyed by client and request_id, so that equal contents of two requests differ.
func (c *call) contentDigest() digest.Digest {
	r := c.request
	ground := "basis:" + r.LegalBasis
	evidence := ""
	switch {
	case r.Consent != nil:
		ground, evidence = "notice:"+r.Consent.Notice, r.Consent.EvidenceRef
	case r.ConsentID != "":
		ground = "consent:" + r.ConsentID
	}
	values := c.Keys.Values(digest.Content, c.values...)
	return c.Keys.Text(digest.Content, c.owner(), r.RequestID, string(c.product.ID), c.purpose.String(), ground, evidence,
		r.PlateKind, string(values[:]))
}

// commit stores an answer and its log record side by side, and returns it when both are durable.
func (c *call) commit(ctx context.Context, found source.Answer, journal Journal) (*Answer, ledger.Position, error) {
	var none ledger.Position
	answer, err := c.answer(found)
	if err != nil {
		c.Ledger.Release(c.token)
		return nil, none, err
	}
	at, logged, err := journal.Answered(answer)
	if err != nil {
		c.Ledger.Release(c.token)
		return nil, none, logFault(err)
	}
	answer.At, answer.Verification.Log = at, at
	commit := &ledger.Commit{
		Token: c.token, Verification: answer.Verification, Evidence: c.evidence, Handles: c.handles,
		UsageKey: c.usageKey(), Usage: usage.Of(found.Verdict, answer.Verification.Billing, c.entitlement.PriceFen), Now: c.now,
		Renewal: c.renewal,
	}
	if c.request.Consent != nil && c.stored == nil {
		commit.NewConsent = c.newConsent(answer.Verification)
	}
	stored, err := c.Ledger.Commit(ctx, commit)
	// Both flushes are under way by now. The log's wait comes first, because it has a bound: on a disk that hangs it is what
	// ends the call. What becomes of the ledger's row then is for the next start to compare.
	if logErr := logged(); logErr != nil {
		if err == nil {
			go func() { _ = stored() }() // which may never return
		}
		return nil, none, logFault(logErr)
	}
	if err == nil {
		err = stored()
	}
	if err != nil {
		why := fault.Of(err)
		voided, voidErr := journal.Voided(answer, why)
		if voidErr != nil {
			return nil, none, logFault(voidErr)
		}
		return nil, voided, why
	}
	return answer, none, nil
}

// answer makes the row and the commitment.
func (c *call) answer(found source.Answer) (*Answer, error) {
	id, err := ledger.NewID(c.now, c.Random)
	if err != nil {
		return nil, err
	}
	billing := product.Free
	switch {
	case found.Pending:
		billing = product.BillingUnknown
	case found.Billed && !c.caller.Test:
		billing = product.Billed
	}
	v := &ledger.Verification{
		ID: id, Client: c.caller.Client, Product: c.product.ID, Purpose: c.purpose, Fields: c.fields, Test: c.caller.Test,
		Verdict: found.Verdict, FieldVerdicts: found.Fields, Detail: c.entitlement.Detail, Source: found.Source,
		SourceAsOf: found.AsOf, SourceCode: found.Code, Dataset: found.Dataset, Recipient: c.source.Recipient(),
		Billing: billing, PriceFen: c.entitlement.PriceFen, VerifyTime: c.now, ExpireTime: c.now.Add(c.entitlement.Retention()),
		State: ledger.Active, LegalBasis: c.request.LegalBasis, PolicyVersion: c.policy, Request: c.requestKey,
		Child: c.child, QuotaKey: c.quotaKey(),
	}
	if found.Pending {
		v.State, v.ReconcileBy = ledger.Pending, c.now.Add(pendingTime)
	}
	if c.request.LegalBasis == "" {
		if v.ConsentUse, err = ledger.NewID(c.now, c.Random); err != nil {
			return nil, err
		}
		if c.stored != nil {
			if v.Consent, err = ledger.ParseID(c.stored.ID); err != nil {
				return nil, err
			}
		} else if v.Consent, err = ledger.NewID(c.now, c.Random); err != nil {
			return nil, err
		}
	}
	if c.request.Reference != "" {
		v.Reference = ReferenceKey(c.Keys, c.owner(), c.request.Reference)
	}
	for _, value := range c.values {
		for _, w := range value.Warnings() {
			v.Remarks = append(v.Remarks, ledger.Remark{Field: value.Kind(), Code: w.String()})
		}
	}
	return c.seal(&Answer{Verification: v, FieldNames: c.fields.Names()})
}

// seal draws the opening and commits to the content under it.
func (c *call) seal(a *Answer) (*Answer, error) {
	if _, err := io.ReadFull(c.Random, a.Opening[:]); err != nil {
		return nil, err
	}
	a.Commitment = Commitment(a.Opening, c.product.ID, c.values)
	return a, nil
}

func (c *call) newConsent(v *ledger.Verification) *consent.Consent {
	inline := c.request.Consent
	return &consent.Consent{
		ID: v.Consent.String(), Client: c.caller.Client, Notice: c.notice.ID, ObtainTime: inline.ObtainTime,
		ExpireTime: c.notice.Expire(inline.ObtainTime), Status: consent.Active, Revision: 1,
		Guardian: c.child && c.request.Guardian != nil, Test: c.caller.Test, CreateTime: c.now,
	}
}

func (c *call) usageKey() usage.Key {
	return usage.Key{Day: workday.DateOf(c.now), Client: c.caller.Client, Product: c.product.ID, Test: c.caller.Test}
}

// checkReplay refuses an answer that its client may not see any more.
func checkReplay(stored *ledger.Verification, now time.Time) *fault.Fault {
	if !stored.Visible(now) {
		return fault.New(fault.RequestIDReused)
	}
	return nil
}

// replay answers again what was answered before, under a record and an opening of its own.
func (c *call) replay(stored *ledger.Verification, journal Journal) (*Answer, error) {
	if f := checkReplay(stored, c.now); f != nil {
		return nil, f
	}
	a, err := c.seal(&Answer{Verification: stored, Reused: true, FieldNames: c.fields.Names()})
	if err != nil {
		return nil, err
	}
	at, logged, err := journal.Answered(a)
	if err == nil {
		a.At = at
		err = logged()
	}
	if err != nil {
		return nil, logFault(err)
	}
	return a, nil
}

// logFault says that the log failed, whatever the cause, unless the error already is a refusal.
func logFault(err error) error {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f
	}
	return fault.New(fault.LogUnavailable).WithCause(err).WithRetryAfter(time.Second)
}
