package api

import (
	"context"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/subject"
)

// WithdrawConsent withdraws before it answers (MV-5.4-withdraw). Twice is the same.
func (s *Consent) WithdrawConsent(ctx context.Context, m *heyanv1.WithdrawConsentRequest) (*heyanv1.WithdrawConsentResponse, error) {
	now := s.d.Now()
	var withdrawn []*consent.Consent
	var err error
	_, bySubject := m.GetTarget().(*heyanv1.WithdrawConsentRequest_Subject)
	if m.GetClient() != "" && !bySubject {
		return nil, fault.New(fault.RequestMalformed).WithField("client", "ONLY_WITH_SUBJECT")
	}
	switch target := m.GetTarget().(type) {
	case *heyanv1.WithdrawConsentRequest_Id:
		withdrawn, err = s.withdrawID(ctx, target.Id, now)
	case *heyanv1.WithdrawConsentRequest_Evidence:
		withdrawn, err = s.withdrawEvidence(ctx, target.Evidence, now)
	case *heyanv1.WithdrawConsentRequest_Subject:
		withdrawn, err = s.withdrawSubject(ctx, target.Subject, m.GetClient(), now)
	default:
		err = fault.New(fault.FieldMissing).WithField("target", "")
	}
	if err != nil {
		return nil, err
	}
	response := &heyanv1.WithdrawConsentResponse{WithdrawTime: stamp(since(withdrawn, now))}
	if m.GetSubject() != nil && len(withdrawn) == 0 {
		response.WithdrawTime = nil // nothing was met, and unlike an evidence the person's values leave no mark
	}
	for _, c := range withdrawn {
		response.Consents = append(response.Consents, c.ID)
	}
	return response, nil
}

// since returns from when all of a list are withdrawn, or now where there is none: a mark was left.
func since(withdrawn []*consent.Consent, now time.Time) time.Time {
	if len(withdrawn) == 0 {
		return now
	}
	latest := withdrawn[0].WithdrawTime
	for _, c := range withdrawn[1:] {
		if c.WithdrawTime.After(latest) {
			latest = c.WithdrawTime
		}
	}
	return latest
}

func (s *Consent) withdrawID(ctx context.Context, text string, now time.Time) ([]*consent.Consent, error) {
	if text == "" {
		return nil, fault.New(fault.FieldMissing).WithField("id", "")
	}
	id, err := ledger.ParseID(text)
	if err != nil {
		return nil, notFound()
	}
	c, err := s.d.Store.Consent(ctx, scope(ctx), id, 0)
	if err == nil && !met(ctx, c) {
		err = store.ErrNotFound
	}
	if err == nil {
		c, err = s.d.Store.WithdrawConsent(ctx, scope(ctx), id, now)
	}
	if err != nil {
		return nil, storeFault(err)
	}
	note(ctx, c)
	return []*consent.Consent{c}, nil
}

// withdrawEvidence withdraws by evidence. Where none is on file it leaves a mark that later uses meet, and the
// record says so.
func (s *Consent) withdrawEvidence(ctx context.Context, m *heyanv1.Evidence, now time.Time) ([]*consent.Consent, error) {
	notice, keys, refused := s.evidence(ctx, m)
	if refused != nil {
		return nil, refused
	}
	var withdrawn []*consent.Consent
	for _, key := range keys {
		under, err := s.d.Store.WithdrawEvidence(ctx, key, notice.ID, now)
		if err != nil {
			return nil, storeFault(err)
		}
		withdrawn = append(withdrawn, under...)
	}
	if len(withdrawn) == 0 {
		call := journal.From(ctx)
		call.Event = record.ConsentTombstoned
		call.SetObject("notice", notice.ID)
	}
	s.noteOnly(ctx, withdrawn)
	return withdrawn, nil
}

// withdrawSubject withdraws whatever stands under the person's handles: at the calling client, at one that the
// privacy officer names, or at every client.
func (s *Consent) withdrawSubject(ctx context.Context, m *heyanv1.Fields, named string, now time.Time) ([]*consent.Consent, error) {
	client := scope(ctx)
	if client != "" || named != "" {
		var refused *fault.Fault
		if client, refused = s.clientOf(ctx, "client", named); refused != nil {
			return nil, refused
		}
	}
	values, refused := s.person(m, nil)
	if refused != nil {
		return nil, refused
	}
	withdrawn, err := s.d.Store.WithdrawSubject(ctx, client, s.handles(ctx, values), now)
	if err != nil {
		return nil, storeFault(err)
	}
	s.noteOnly(ctx, withdrawn)
	return withdrawn, nil
}

// handles are those of a person that a caller meets: see met.
func (s *Consent) handles(ctx context.Context, values []field.Value) []subject.Handle {
	p := caller(ctx)
	list := subject.Handles(s.d.Keys, values, p.Test)
	if p.Kind != authn.Client {
		list = append(list, subject.Handles(s.d.Keys, values, true)...)
	}
	return list
}

// noteOnly puts a consent on the record where it is the only one: a record has one object.
func (s *Consent) noteOnly(ctx context.Context, withdrawn []*consent.Consent) {
	if len(withdrawn) == 1 {
		note(ctx, withdrawn[0])
	}
}

// evidence reads an evidence: the notice, and the digests that the reference may be kept as, for a client one and for an
// officer those of live and of test consents. The notice has to be on file, because a mark keeps its id, which must not
// be just any text that somebody sent.
func (s *Consent) evidence(ctx context.Context, m *heyanv1.Evidence) (notice *consent.Notice, keys []digest.Digest, refused *fault.Fault) {
	if m.GetNotice() == "" {
		return nil, nil, fault.New(fault.FieldMissing).WithField("evidence.notice", "")
	}
	if refused = reference("evidence.evidence_ref", m.GetEvidenceRef()); refused != nil {
		return nil, nil, refused
	}
	client, refused := s.clientOf(ctx, "evidence.client", m.GetClient())
	if refused != nil {
		return nil, nil, refused
	}
	if notice = s.d.Directory.Now().Notice(client, m.GetNotice()); notice == nil {
		return nil, nil, notFound().WithField("evidence.notice", "NOT_ON_FILE")
	}
	p := caller(ctx)
	keys = []digest.Digest{verifier.EvidenceKey(s.d.Keys, verifier.Owner(client, p.Test), m.GetEvidenceRef())}
	if p.Kind != authn.Client {
		keys = append(keys, verifier.EvidenceKey(s.d.Keys, verifier.Owner(client, true), m.GetEvidenceRef()))
	}
	return notice, keys, nil
}
