package api

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/subject"
)

// Consent is heyan.v1.ConsentService: for clients, each for its own, and for the privacy officer.
type Consent struct {
	heyanv1.UnimplementedConsentServiceServer
	d *Deps
}

// NewConsent makes the service.
func NewConsent(d *Deps) *Consent { return &Consent{d: d} }

// clientOf returns whose notices and consents a call is about. A client's are its own; the privacy officer names
// whose. name is the member that names it.
func (s *Consent) clientOf(ctx context.Context, name, named string) (string, *fault.Fault) {
	p := caller(ctx)
	switch {
	case p.Kind == authn.Client && named != "" && named != p.ID:
		return "", notFound()
	case p.Kind == authn.Client:
		return p.ID, nil
	case named == "":
		return "", fault.New(fault.FieldMissing).WithField(name, "")
	}
	if _, ok := s.d.Directory.Now().Clients[named]; !ok {
		return "", notFound().WithField(name, "NOT_ON_FILE")
	}
	journal.From(ctx).SetBehalf(named)
	return named, nil
}

// scope returns the client that an id has to belong to: a client's own; empty, any, for the privacy officer.
func scope(ctx context.Context) string {
	if p := caller(ctx); p.Kind == authn.Client {
		return p.ID
	}
	return ""
}

// met reports whether a caller meets a consent: a test credential those of test credentials, a live one the others, the
// privacy officer both.
func met(ctx context.Context, c *consent.Consent) bool {
	p := caller(ctx)
	return p.Kind != authn.Client || p.Test == c.Test
}

// note puts a consent on the call's record.
func note(ctx context.Context, c *consent.Consent) {
	call := journal.From(ctx)
	call.SetObject("consent", c.ID)
	if call.Principal.Kind != authn.Client {
		call.SetBehalf(c.Client)
	}
}

// renewal is the time before which consents were obtained that need renewal now (MV-8-reconsent).
func (s *Consent) renewal() time.Time { return s.d.Directory.Now().Renewal(s.d.Now()) }

func (s *Consent) public(c *consent.Consent) *heyanv1.Consent {
	return &heyanv1.Consent{
		Id: c.ID, Client: c.Client, Notice: c.Notice, ObtainTime: stamp(c.ObtainTime), ExpireTime: stamp(c.ExpireTime),
		State: consentStateEnum.public(c.StatusAt(s.d.Now(), s.renewal())), Revision: c.Revision, Guardian: c.Guardian,
		WithdrawTime: stamp(c.WithdrawTime), CreateTime: stamp(c.CreateTime), Test: c.Test,
	}
}

// CreateConsent records that a person agreed. Only keyed digests of the person's values and of the reference are kept.
func (s *Consent) CreateConsent(ctx context.Context, m *heyanv1.CreateConsentRequest) (*heyanv1.Consent, error) {
	client, now := caller(ctx).ID, s.d.Now()
	if refused := reference("evidence_ref", m.GetEvidenceRef()); refused != nil {
		return nil, refused
	}
	if m.GetNotice() == "" {
		return nil, fault.New(fault.FieldMissing).WithField("notice", "")
	}
	notice := s.d.Directory.Now().Notice(client, m.GetNotice())
	if notice == nil {
		return nil, fault.New(fault.ConsentMissing).WithField("notice", "NOT_ON_FILE")
	}
	obtained, refused := instant("obtain_time", m.GetObtainTime())
	if refused == nil {
		refused = consent.CheckObtained(notice, obtained, now, s.renewal())
	}
	if refused != nil {
		return nil, renamed(refused, "consent.", "")
	}
	guardian, refused := guardianOf(m.GetGuardian())
	if refused == nil && guardian != nil && guardian.EvidenceRef != "" {
		refused = reference("guardian.evidence_ref", guardian.EvidenceRef)
	}
	if refused != nil {
		return nil, refused
	}
	values, refused := s.person(m.GetSubject(), notice)
	if refused != nil {
		return nil, refused
	}
	child, refused := consent.CheckAge(values, ageEnum.domain(m.GetAgeDeclaration()), notice, guardian, now, s.renewal())
	if refused != nil {
		return nil, refused
	}
	id, err := ledger.NewID(now, s.d.Random)
	if err != nil {
		return nil, err
	}
	stored, err := s.d.Store.CreateConsent(ctx, &consent.Consent{
		ID: id.String(), Client: client, Notice: notice.ID, ObtainTime: obtained, ExpireTime: notice.Expire(obtained),
		Status: consent.Active, Revision: 1, Guardian: child, Test: caller(ctx).Test, CreateTime: now,
	}, verifier.EvidenceKey(s.d.Keys, verifier.Owner(client, caller(ctx).Test), m.GetEvidenceRef()),
		subject.Handles(s.d.Keys, values, caller(ctx).Test), subject.Restrictions(s.d.Keys, values))
	if err != nil {
		return nil, storeFault(err)
	}
	note(ctx, stored)
	return s.public(stored), nil
}

// reference checks a reference that a caller chose and that is kept as a keyed digest.
func reference(name, value string) *fault.Fault {
	switch {
	case value == "":
		return fault.New(fault.FieldMissing).WithField(name, "")
	case !product.ValidReference(value):
		return fault.New(fault.RequestMalformed).WithField(name, "REFERENCE")
	}
	return nil
}

// renamed gives the violations of a shared rule the names that this request has for its members.
func renamed(f *fault.Fault, from, to string) *fault.Fault {
	for i, v := range f.Violations {
		if rest, ok := strings.CutPrefix(v.Field, from); ok {
			f.Violations[i].Field = to + rest
		}
	}
	return f
}

// person reads the values that say who agreed: a name with at least one number that identifies the person. With a
// notice, which may be nil, values that it does not tell people of are refused before anything is made of them.
func (s *Consent) person(m *heyanv1.Fields, notice *consent.Notice) ([]field.Value, *fault.Fault) {
	submitted := valuesOf(m)
	present := presentIn(submitted)
	missing := fault.New(fault.FieldMissing)
	if !present.Has(field.Name) {
		missing.WithField("subject.name", "")
	}
	if present.Minus(field.SetOf(field.Name)).Len() == 0 {
		missing.WithField("subject", "A_NUMBER")
	}
	for _, f := range submitted {
		if f.Text.Empty() {
			missing.WithField("subject."+f.Kind.String(), "EMPTY")
		}
	}
	if len(missing.Violations) > 0 {
		return nil, missing
	}
	if notice != nil {
		if outside := present.Minus(notice.Fields); outside.Len() > 0 {
			f := fault.New(fault.ConsentScope).With("notice", notice.ID)
			for _, name := range outside.Names() {
				f.WithField("subject."+name, "NOT_IN_NOTICE")
			}
			return nil, f
		}
	}
	values := make([]field.Value, 0, len(submitted))
	var malformed *fault.Fault
	for _, f := range submitted {
		value, err := s.d.Rules.Parse(f.Kind, f.Text.Reveal(), s.d.Now())
		switch {
		case err == nil:
			values = append(values, value)
		case malformed == nil:
			malformed = fault.Of(err)
		default:
			malformed.Violations = append(malformed.Violations, fault.Of(err).Violations...)
		}
	}
	if malformed != nil {
		return nil, renamed(malformed, "fields.", "subject.")
	}
	return values, nil
}

// GetConsent reads one consent, by id or by its evidence, at its newest revision or an older one.
func (s *Consent) GetConsent(ctx context.Context, m *heyanv1.GetConsentRequest) (*heyanv1.Consent, error) {
	switch {
	case m.GetId() == "" && m.GetEvidence() == nil:
		return nil, fault.New(fault.FieldMissing).WithField("id", "")
	case m.GetId() != "" && m.GetEvidence() != nil:
		return nil, fault.New(fault.RequestMalformed).WithField("evidence", "BESIDE_ID")
	case m.GetRevision() < 0:
		return nil, fault.New(fault.RequestMalformed).WithField("revision", "NEGATIVE")
	}
	client, text := scope(ctx), m.GetId()
	if m.GetEvidence() != nil {
		notice, keys, refused := s.evidence(ctx, m.GetEvidence())
		if refused != nil {
			return nil, refused
		}
		found, err := s.d.Store.ConsentByEvidence(ctx, keys[0], notice.ID)
		for _, key := range keys[1:] { // a live one goes before a test one
			if errors.Is(err, store.ErrNotFound) {
				found, err = s.d.Store.ConsentByEvidence(ctx, key, notice.ID)
			}
		}
		if err != nil {
			return nil, storeFault(err)
		}
		client, text = notice.Client, found.ID
	}
	id, err := ledger.ParseID(text)
	if err != nil {
		return nil, notFound()
	}
	found, err := s.d.Store.Consent(ctx, client, id, m.GetRevision())
	if err != nil {
		return nil, storeFault(err)
	}
	if !met(ctx, found) {
		return nil, notFound()
	}
	note(ctx, found)
	return s.public(found), nil
}

// ListConsents lists consents, newest first. A page may hold fewer than page_size, and none, while there is a next
// one.
func (s *Consent) ListConsents(ctx context.Context, m *heyanv1.ListConsentsRequest) (*heyanv1.ListConsentsResponse, error) {
	limit, refused := pageSize(m.GetPageSize())
	if refused != nil {
		return nil, refused
	}
	client, refused := s.clientOf(ctx, "client", m.GetClient())
	if refused != nil {
		return nil, refused
	}
	if m.GetNotice() != "" && !product.ValidSlug(m.GetNotice()) {
		return nil, fault.New(fault.RequestMalformed).WithField("notice", "SLUG")
	}
	list := s.d.pages(caller(ctx).ID, "ListConsents", client, m.GetNotice(), strconv.Itoa(int(m.GetState())))
	before, refused := list.before(m.GetPageToken())
	if refused != nil {
		return nil, refused
	}
	found, next, more, err := s.d.Store.ListConsents(ctx, client, store.ConsentFilter{
		Notice: m.GetNotice(), Status: consentStateEnum.domain(m.GetState()), Now: s.d.Now(), Renewal: s.renewal(),
		Before: before, Limit: limit})
	if err != nil {
		return nil, storeFault(err)
	}
	page := &heyanv1.ListConsentsResponse{}
	for _, c := range found {
		if met(ctx, c) {
			page.Consents = append(page.Consents, s.public(c))
		}
	}
	if more {
		page.NextPageToken = list.after(next)
	}
	return page, nil
}
