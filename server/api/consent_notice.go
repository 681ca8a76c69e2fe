package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/fault"
)

const (
	// maxNotices is how many notices a client may register: they stand in memory and are never removed.
	maxNotices = 1000
	// maxConsentDays is the longest lifetime of a consent.
	maxConsentDays = 3650
)

// CreateNotice registers what people are shown. The same content under the same id is the same notice.
func (s *Consent) CreateNotice(ctx context.Context, m *heyanv1.CreateNoticeRequest) (*heyanv1.Notice, error) {
	notice, refused := s.notice(ctx, m.GetNotice())
	if refused != nil {
		return nil, refused
	}
	snapshot := s.d.Directory.Now()
	if stored := snapshot.Notice(notice.Client, notice.ID); stored != nil {
		return s.again(ctx, stored, notice)
	}
	if len(directory.Under(snapshot.Notices, notice.Client)) >= maxNotices {
		return nil, fault.New(fault.QuotaExceeded).WithQuota("notices of a client").
			WithHint("A client may register 1000 notices. A new version of a text is a new notice; a new person is not.")
	}
	_, err := s.d.Directory.PutNotice(ctx, *notice, 0)
	if errors.Is(err, store.ErrConflict) { // a twin was first
		if stored := s.d.Directory.Now().Notice(notice.Client, notice.ID); stored != nil {
			return s.again(ctx, stored, notice)
		}
	}
	if err != nil {
		return nil, storeFault(err)
	}
	journal.From(ctx).SetObject("notice", notice.ID)
	return publicNotice(notice), nil
}

// again answers for a notice whose id is on file.
func (s *Consent) again(ctx context.Context, stored, asked *consent.Notice) (*heyanv1.Notice, error) {
	journal.From(ctx).SetObject("notice", stored.ID)
	if !stored.Same(asked) {
		return nil, fault.New(fault.ResourceExists).WithField("notice.id", "OTHER_CONTENT")
	}
	return publicNotice(stored), nil
}

// notice reads a notice of the calling client. Members that only an answer has are not read.
func (s *Consent) notice(ctx context.Context, m *heyanv1.Notice) (*consent.Notice, *fault.Fault) {
	if m == nil {
		return nil, fault.New(fault.FieldMissing).WithField("notice", "")
	}
	if f := s.d.slug(ctx, "notice.id", m.GetId()); f != nil {
		return nil, f
	}
	if f := s.d.text(ctx, "notice.version", m.GetVersion()); f != nil {
		return nil, f
	}
	if f := noticeShape(m); f != nil {
		return nil, f
	}
	n := &consent.Notice{
		ID: m.GetId(), Client: caller(ctx).ID, TextSHA256: [sha256.Size]byte(m.GetTextSha256()), Version: m.GetVersion(),
		LifetimeDays: int(m.GetLifetimeDays()), AgeGate: m.GetAgeGate(), CreateTime: s.d.Now(),
	}
	var f *fault.Fault
	if n.Fields, f = fieldsOf("notice.fields", m.GetFields()); f != nil {
		return nil, f
	}
	if n.Purposes, f = purposesOf("notice.purposes", m.GetPurposes()); f != nil {
		return nil, f
	}
	if n.Separate, f = separateOf("notice.separate_consents", m.GetSeparateConsents()); f != nil {
		return nil, f
	}
	n.Recipients = slices.Compact(slices.Sorted(slices.Values(m.GetRecipients())))
	registered := s.d.Directory.Now().Recipients
	for _, id := range n.Recipients {
		if _, ok := registered[id]; !ok {
			return nil, notFound().WithField("notice.recipients", "NOT_ON_FILE")
		}
	}
	return n, nil
}

// noticeShape checks what needs nothing on file, all at once.
func noticeShape(m *heyanv1.Notice) *fault.Fault {
	missing := fault.New(fault.FieldMissing)
	for _, member := range []struct {
		name  string
		empty bool
	}{
		{"notice.text_sha256", len(m.GetTextSha256()) == 0}, {"notice.fields", len(m.GetFields()) == 0},
		{"notice.purposes", len(m.GetPurposes()) == 0}, {"notice.lifetime_days", m.GetLifetimeDays() == 0},
	} {
		if member.empty {
			missing.WithField(member.name, "")
		}
	}
	if len(missing.Violations) > 0 {
		return missing
	}
	malformed := fault.New(fault.RequestMalformed)
	if len(m.GetTextSha256()) != sha256.Size {
		malformed.WithField("notice.text_sha256", "32_BYTES")
	}
	if days := m.GetLifetimeDays(); days < 1 || days > maxConsentDays {
		malformed.WithField("notice.lifetime_days", "1_TO_3650")
	}
	if len(malformed.Violations) > 0 {
		return malformed
	}
	return nil
}

func publicNotice(n *consent.Notice) *heyanv1.Notice {
	return &heyanv1.Notice{
		Id: n.ID, Client: n.Client, TextSha256: n.TextSHA256[:], Version: n.Version, Fields: publicFields(n.Fields),
		Purposes: publicPurposes(n.Purposes), Recipients: n.Recipients, SeparateConsents: publicSeparate(n.Separate),
		LifetimeDays: int32(n.LifetimeDays), AgeGate: n.AgeGate, CreateTime: stamp(n.CreateTime),
	}
}

// ListNotices lists a client's notices by id.
func (s *Consent) ListNotices(ctx context.Context, m *heyanv1.ListNoticesRequest) (*heyanv1.ListNoticesResponse, error) {
	limit, refused := pageSize(m.GetPageSize())
	if refused != nil {
		return nil, refused
	}
	client, refused := s.clientOf(ctx, "client", m.GetClient())
	if refused != nil {
		return nil, refused
	}
	list := s.d.pages(caller(ctx).ID, "ListNotices", client)
	last, refused := list.place(m.GetPageToken())
	if refused != nil {
		return nil, refused
	}
	snapshot := s.d.Directory.Now()
	page := &heyanv1.ListNoticesResponse{}
	ids := directory.Under(snapshot.Notices, client)
	slices.Sort(ids)
	for _, id := range ids {
		if last != "" && strings.TrimPrefix(id, client+"/") <= last {
			continue
		}
		if len(page.Notices) == limit {
			page.NextPageToken = list.token(page.Notices[limit-1].GetId())
			break
		}
		page.Notices = append(page.Notices, publicNotice(&snapshot.Notices[id].Value))
	}
	return page, nil
}
