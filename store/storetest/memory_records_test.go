package storetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/subject"
	"github.com/heyan-project/heyan/verifier/usage"
)

func sortUsage(rows []usage.Row) {
	slices.SortFunc(rows, func(a, b usage.Row) int {
		return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Product, b.Product),
			cmp.Compare(fmt.Sprint(a.Test), fmt.Sprint(b.Test)))
	})
}

func (m *memory) verificationKey(client string, id ledger.ID) string {
	if m.is("verifications are anybody's") {
		client = ""
	}
	return m.fold("clients are folded", client) + id.String()
}

func (m *memory) Verification(_ context.Context, client string, id ledger.ID) (*ledger.Verification, error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	r := m.verifications[m.verificationKey(client, id)]
	if r == nil {
		return nil, store.ErrNotFound
	}
	v := r.Verification
	return &v, nil
}

// rows returns verifications in the order of client and id.
func (m *memory) rows(want func(*row) bool) (list []*row) {
	for _, r := range m.verifications {
		if want(r) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *row) int {
		if m.is("pending ones are sorted by id") {
			return bytes.Compare(a.ID[:], b.ID[:])
		}
		return cmp.Or(cmp.Compare(a.Client, b.Client), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return list
}

func (m *memory) ListVerifications(_ context.Context, client string, f store.VerificationFilter) (list []*ledger.Verification, next ledger.ID, more bool, err error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, next, false, err
	}
	defer unlock()
	all := m.rows(func(r *row) bool {
		ends := r.VerifyTime.Before(f.End) || m.is("the end of a time is part of it") && r.VerifyTime.Equal(f.End)
		return m.fold("clients are folded", r.Client) == m.fold("clients are folded", client) && r.State != ledger.Deleted &&
			(f.Start.IsZero() || !r.VerifyTime.Before(f.Start)) && (f.End.IsZero() || ends) &&
			(f.Product == "" || f.Product == string(r.Product)) && (f.LegalBasis == "" || f.LegalBasis == r.LegalBasis) &&
			(f.State == 0 || f.State == r.State) && (f.Reference.IsZero() || f.Reference == r.Reference) &&
			(f.Request.IsZero() || f.Request == r.Request) && (f.Before.IsZero() || bytes.Compare(r.ID[:], f.Before[:]) < 0)
	})
	slices.Reverse(all)
	for i, r := range all {
		if len(list) == f.Limit {
			if m.is("a page skips a row") {
				next = all[i].ID
			}
			return list, next, true, nil
		}
		v := r.Verification
		list, next = append(list, &v), r.ID
	}
	return list, next, m.is("there is always more") && len(list) > 0, nil
}

func (m *memory) DeleteVerification(_ context.Context, client string, id ledger.ID) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	r := m.verifications[m.verificationKey(client, id)]
	switch {
	case r == nil:
		return store.ErrNotFound
	case r.State == ledger.Pending:
		return store.ErrConflict
	}
	if !m.is("a deleted verification stays whole") {
		r.Strip()
	}
	return nil
}

func (m *memory) ListPending(_ context.Context, client, afterClient string, after ledger.ID, limit int) (list []*ledger.Verification, err error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, r := range m.rows(func(r *row) bool {
		later := r.Client > afterClient || r.Client == afterClient && bytes.Compare(r.ID[:], after[:]) > 0
		return (r.State == ledger.Pending || m.is("settled ones are pending") && r.counts.Verdicts[0] == 1) &&
			(client == "" || client == r.Client) && later
	}) {
		if len(list) < limit {
			v := r.Verification
			list = append(list, &v)
		}
	}
	return list, nil
}

func (m *memory) ResolvePending(_ context.Context, v *ledger.Verification, delta usage.Counts) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	r := m.verifications[m.verificationKey(v.Client, v.ID)]
	if r == nil {
		return store.ErrNotFound
	}
	if r.State != ledger.Pending {
		return store.ErrConflict
	}
	r.Verification = *v
	row := m.usage[r.key]
	row.Add(delta)
	m.usage[r.key] = row
	if v.State != ledger.Deleted || m.is("nothing is used all the same") {
		for _, key := range r.counters {
			m.used[key]++
		}
	}
	return nil
}

func (m *memory) CreateConsent(_ context.Context, c *consent.Consent, evidence digest.Digest, handles, restrictions []subject.Handle) (*consent.Consent, error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if m.anyRestriction(restrictions, time.Now()) {
		return nil, fault.New(fault.SubjectUnavailable)
	}
	f, err := m.standing(evidence, c.Notice, handles)
	if err != nil {
		return nil, err
	}
	if f == nil || m.is("a new consent each time") {
		m.file(c, evidence, handles)
		made := m.consents[idOf(c)].Consent
		return &made, nil
	}
	if f.Status == consent.Withdrawn && !m.is("a withdrawn consent is given again") {
		return nil, fault.New(fault.ConsentWithdrawn)
	}
	if !subject.Common(f.handles, handles) {
		return nil, fault.New(fault.ConsentSubjectMismatch)
	}
	found := f.Consent
	return &found, nil
}

func (m *memory) Consent(_ context.Context, client string, id ledger.ID, revision int64) (*consent.Consent, error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	f := m.consents[id]
	if f == nil || client != "" && client != f.Client {
		return nil, store.ErrNotFound
	}
	found := f.Consent
	if revision > f.Revision {
		return nil, store.ErrNotFound
	}
	if revision > 0 && revision < f.Revision && !m.is("older revisions are forgotten") {
		found = f.revisions[revision-1]
	}
	return &found, nil
}

func (m *memory) ConsentByEvidence(_ context.Context, evidence digest.Digest, notice string) (*consent.Consent, error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, f := range m.consents {
		if f.evidence == evidence && f.Notice == notice {
			found := f.Consent
			return &found, nil
		}
	}
	return nil, store.ErrNotFound
}

func (m *memory) ListConsents(_ context.Context, client string, filter store.ConsentFilter) (list []*consent.Consent, next ledger.ID, more bool, err error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, next, false, err
	}
	defer unlock()
	var all []*file
	for id, f := range m.consents {
		status := f.StatusAt(filter.Now, filter.Renewal)
		if m.is("expiry is not judged") {
			status = f.Status
		}
		if f.Client == client && (filter.Notice == "" || f.Notice == filter.Notice) && (filter.Status == 0 || filter.Status == status) &&
			(filter.Before.IsZero() || bytes.Compare(id[:], filter.Before[:]) < 0) {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b *file) int { return cmp.Compare(b.ID, a.ID) })
	for _, f := range all {
		if len(list) == filter.Limit {
			return list, next, true, nil
		}
		found := f.Consent
		list, next = append(list, &found), idOf(&found)
	}
	return list, next, false, nil
}

func (m *memory) withdraw(f *file, now time.Time) *consent.Consent {
	if f.Status != consent.Withdrawn || m.is("a consent is withdrawn anew") {
		f.revisions = append(f.revisions, f.Consent)
		f.Status, f.WithdrawTime, f.Revision = consent.Withdrawn, now, f.Revision+1
		if !m.is("Commit ignores withdrawals") {
			m.strike(fault.ConsentWithdrawn, func(h *held) bool { return h.consent == idOf(&f.Consent) })
		}
	}
	found := f.Consent
	return &found
}

// slow does an act after its method has returned, where the engine is broken so.
func (m *memory) slow(act func()) {
	if m.is("acts take their time") {
		go func() {
			time.Sleep(20 * time.Millisecond)
			m.mu.Lock()
			defer m.mu.Unlock()
			act()
		}()
		return
	}
	act()
}

func (m *memory) WithdrawConsent(_ context.Context, client string, id ledger.ID, now time.Time) (withdrawn *consent.Consent, err error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	f := m.consents[id]
	if f == nil || client != "" && client != f.Client {
		return nil, store.ErrNotFound
	}
	m.slow(func() { withdrawn = m.withdraw(f, now) })
	return withdrawn, nil
}

func (m *memory) WithdrawEvidence(_ context.Context, evidence digest.Digest, notice string, now time.Time) (list []*consent.Consent, err error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, f := range m.consents {
		if f.evidence == evidence && f.Notice == notice {
			list = append(list, m.withdraw(f, now))
		}
	}
	if len(list) == 0 && !m.is("there are no tombstones") {
		m.tombstones[evidence.Hex()+notice] = true
	}
	return list, nil
}

func (m *memory) WithdrawSubject(_ context.Context, client string, handles []subject.Handle, now time.Time) (list []*consent.Consent, err error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if m.is("a person withdraws everywhere") {
		client = ""
	}
	for _, f := range m.consents {
		if (subject.Common(f.handles, handles) || subject.Common(f.uses, handles)) && (client == "" || client == f.Client) {
			list = append(list, m.withdraw(f, now))
		}
	}
	slices.SortFunc(list, func(a, b *consent.Consent) int { return cmp.Compare(a.ID, b.ID) })
	if !m.is("Commit ignores acts on a person") {
		m.strike(fault.SubjectUnavailable, func(h *held) bool {
			return subject.Common(h.Handles, handles) && (client == "" || client == h.Client)
		})
	}
	return list, nil
}

func (m *memory) Restrict(_ context.Context, handles []subject.Handle, r store.Restriction, until time.Time) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	m.slow(func() {
		for _, h := range handles {
			if m.restrictions[h] == nil {
				m.restrictions[h] = map[store.Restriction]time.Time{}
			}
			m.restrictions[h][r] = until
		}
		if !m.is("Commit ignores restrictions") && (until.IsZero() || time.Now().Before(until)) {
			m.strike(fault.SubjectUnavailable, func(h *held) bool { return subject.Common(h.Restrictions, handles) })
		}
	})
	return nil
}

func (m *memory) Unrestrict(_ context.Context, handles []subject.Handle, r store.Restriction) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, h := range handles {
		if delete(m.restrictions[h], r); m.is("lifting one lifts all") {
			delete(m.restrictions, h)
		}
	}
	return nil
}

func (m *memory) Restricted(_ context.Context, handles []subject.Handle, r store.Restriction, now time.Time) (bool, error) {
	unlock, err := m.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	for _, h := range handles {
		until, is := m.restrictions[h][r]
		if is && (until.IsZero() || now.Before(until) || m.is("restrictions last too long") && now.Equal(until)) {
			return true, nil
		}
	}
	return false, nil
}

func (m *memory) documentKey(kind store.Kind, id string) string {
	return string(kind) + "\x00" + m.fold("documents are folded", id)
}

func (m *memory) GetDocument(_ context.Context, kind store.Kind, id string) (store.Document, error) {
	unlock, err := m.lock()
	if err != nil {
		return store.Document{}, err
	}
	defer unlock()
	doc, found := m.documents[m.documentKey(kind, id)]
	if !found {
		return doc, store.ErrNotFound
	}
	doc.Value = append([]byte{}, doc.Value...)
	return doc, nil
}

func (m *memory) PutDocument(_ context.Context, kind store.Kind, id string, value []byte, expect int64) (int64, error) {
	unlock, err := m.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	if m.documents[m.documentKey(kind, id)].Revision != expect && !m.is("revisions are not compared") {
		return 0, store.ErrConflict
	}
	if !m.is("values are shared") {
		value = append([]byte{}, value...)
	}
	m.documents[m.documentKey(kind, id)] = store.Document{ID: id, Revision: expect + 1, Value: value}
	return expect + 1, nil
}

func (m *memory) ListDocuments(_ context.Context, kind store.Kind, prefix, after string, limit int) (list []store.Document, err error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for key, doc := range m.documents {
		ofKind := strings.HasPrefix(key, string(kind)+"\x00")
		if ofKind && (strings.HasPrefix(doc.ID, prefix) || m.is("prefixes are ignored")) && (after == "" || doc.ID > after) {
			list = append(list, doc)
		}
	}
	slices.SortFunc(list, func(a, b store.Document) int { return cmp.Compare(a.ID, b.ID) })
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list, nil
}
