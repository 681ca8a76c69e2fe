package embedded

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// TestAClaimSeesWhatCameBesideIt: a claim that begins while somebody is putting a consent on file, and so does not see it
// yet, sees it at its commit.
func TestAClaimSeesWhatCameBesideIt(t *testing.T) {
	s := opened(t, created(t, vfs.NewMem()))
	defer s.Close()
	b := request(1)
	id, err := ledger.NewID(time.Now(), randomBytes{})
	must(t, err)
	registered := consent.Consent{ID: id.String(), Client: client, Notice: "n", ObtainTime: b.Now, CreateTime: b.Now, ExpireTime: b.Now.Add(time.Hour), Status: consent.Active}
	var begun ledger.Begun
	stripe := &s.evidence[s.evidence.of(b.Consent.Evidence)]
	must(t, s.write(lockers{s.acts.RLocker(), stripe}, func(p *pair) error {
		if begun, err = s.Begin(t.Context(), b); err != nil {
			return err
		}
		_, err := s.createConsent(p, &newConsent{Consent: &registered, evidence: b.Consent.Evidence}, b.Handles)
		return err
	}))
	answer := answerTo(t, b, begun, 1)
	wait, err := s.Commit(t.Context(), answer)
	must(t, err)
	must(t, wait())
	if answer.Verification.Consent != id {
		t.Error("the answer rests on a second consent")
	}
	standing, err := s.standings(b.Consent.Evidence)
	must(t, err)
	if len(standing) != 1 {
		t.Errorf("%d consents stand under one evidence", len(standing))
	}
}

type randomBytes struct{}

func (randomBytes) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(i)
	}
	return len(b), nil
}
