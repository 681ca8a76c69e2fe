package storetest

import (
	"context"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

func (m *memory) Peek(_ context.Context, b *ledger.Begin) (seen ledger.Seen, err error) {
	unlock, err := m.lock()
	if err != nil {
		return seen, err
	}
	defer unlock()
	m.sweep(b.Now)
	if m.anyRestriction(b.Restrictions, b.Now) {
		seen.Refusals = append(seen.Refusals, fault.New(fault.SubjectUnavailable))
	}
	h := &held{Begin: b, expires: b.Now.Add(b.Lease)}
	var begun ledger.Begun
	err = seen.Note(m.beginConsent(b, b.Now, h, &begun))
	if err == nil {
		_, _, err = m.beginRequest(b, &begun)
		err = seen.Note(err)
	}
	seen.Consent, seen.Replay = begun.Consent, begun.Replay
	for _, r := range b.Reserves {
		used, reserved := m.count(r.Key)
		if r.Limit >= 0 && used+reserved >= r.Limit && begun.Replay == nil {
			seen.Refusals = append(seen.Refusals, fault.New(r.Reason).WithQuota(r.Name))
		}
		h.counters = append(h.counters, m.counterKey(r.Key))
	}
	if m.is("a look claims") {
		m.claims[m.nextToken()] = h
	}
	if m.is("a look ends at the first refusal") && len(seen.Refusals) > 1 {
		seen.Refusals = seen.Refusals[:1]
	}
	return seen, err
}
