package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/policy"
)

// Compliance is the ComplianceService: two-person acts (approvals.go), policies (here), retention (retention.go) and holds
// (holds.go).
type Compliance struct {
	heyanv1.UnimplementedComplianceServiceServer
	d *Deps
}

// NewCompliance makes the service.
func NewCompliance(d *Deps) *Compliance { return &Compliance{d: d} }

const (
	// maxPolicyText is the longest text of a policy, in bytes.
	maxPolicyText = 512 << 10
	maxChanges    = 100
	maxLanguage   = 35 // RFC 5646, section 4.4.1
	// effectiveGrace is how far a clock of who publishes may be behind ours: "from now on" is then now.
	effectiveGrace = time.Minute
)

// PublishPolicy puts a version on file for ever (MV-8-publish).
func (c *Compliance) PublishPolicy(ctx context.Context, req *heyanv1.PublishPolicyRequest) (*heyanv1.Policy, error) {
	version, f := c.policyOf(ctx, req.GetPolicy())
	if f != nil {
		return nil, f
	}
	before := c.d.Directory.Now()
	if _, exists := before.Policies[version.ID]; exists {
		return nil, fault.New(fault.ResourceExists).WithField("policy.version", "")
	}
	if f := version.Check(); f != nil {
		return nil, f
	}
	if last := before.PolicyInForce(version.PublishTime); last != nil && last.Contact != version.Contact && !changes(version, policy.Contact) {
		// MV-8-material-5: who answers for personal information is a significant change.
		return nil, malformed("policy.material_changes", "CONTACT").
			WithHint("The contact differs from the version in force: list MATERIAL_CHANGE_CONTACT.")
	}
	if _, err := c.d.Directory.PutPolicy(ctx, *version, 0); err != nil {
		return nil, exists(err, "policy.version")
	}
	journal.From(ctx).SetObject("policy", version.ID)
	changed(ctx, nil, version)
	answer := publicPolicy(version, c.d.Directory.Now().PolicyInForce(version.PublishTime))
	answer.Text = "" // whoever published it has it
	return answer, nil
}

// policyOf reads a version. Text and contact are not scanned for values of fields: a policy is written by the
// operator, is public, and has to name a telephone number that answers (PIPL art. 17(1)).
func (c *Compliance) policyOf(ctx context.Context, p *heyanv1.Policy) (*policy.Version, *fault.Fault) {
	if f := c.d.slug(ctx, "policy.version", p.GetVersion()); f != nil {
		return nil, f
	}
	if f := c.d.text(ctx, "policy.title", p.GetTitle()); f != nil {
		return nil, f
	}
	if len(p.GetChangeSummary()) > maxChanges {
		return nil, malformed("policy.change_summary", "AT_MOST_100")
	}
	for _, change := range p.GetChangeSummary() {
		if f := c.d.text(ctx, "policy.change_summary", change); f != nil {
			return nil, f
		}
	}
	switch {
	case len(p.GetText()) > maxPolicyText || !utf8.ValidString(p.GetText()):
		return nil, malformed("policy.text", "UTF8_OF_524288_BYTES")
	case len(p.GetContact()) > maxText || !utf8.ValidString(p.GetContact()):
		return nil, malformed("policy.contact", "TEXT_OF_500_BYTES")
	case !validLanguage(p.GetLanguage()):
		return nil, malformed("policy.language", "BCP_47")
	}
	if f := c.d.scan(ctx, "policy.language", p.GetLanguage()); f != nil { // a number in groups
		return nil, f
	}
	material, f := membersOf(materialChangeEnum, "policy.material_changes", p.GetMaterialChanges())
	if f != nil {
		return nil, f
	}
	effective, f := instant("policy.effective_time", p.GetEffectiveTime())
	if f != nil {
		return nil, f
	}
	now := c.d.Now()
	if effective.Before(now) && now.Sub(effective) <= effectiveGrace {
		effective = now
	}
	return &policy.Version{
		ID: p.GetVersion(), Title: p.GetTitle(), Text: p.GetText(), TextSHA256: sha256.Sum256([]byte(p.GetText())),
		PublishTime: now, EffectiveTime: effective, ChangeSummary: p.GetChangeSummary(), ReducesRights: p.GetReducesRights(),
		RequiresReconsent: p.GetRequiresReconsent(), MaterialChanges: material, Contact: p.GetContact(), Language: p.GetLanguage(),
	}, nil
}

// validLanguage checks the form of a language tag: a language of two to eight letters, then parts of one to eight
// letters and digits (RFC 5646, section 2.1), so that no number of a field fits in one part. An absent one is
// policy.Check's to refuse.
func validLanguage(s string) bool {
	if s == "" {
		return true
	}
	language, rest, more := strings.Cut(s, "-")
	if len(s) > maxLanguage || len(language) < 2 || len(language) > 8 || strings.Trim(language, letters) != "" {
		return false
	}
	for more {
		var part string
		part, rest, more = strings.Cut(rest, "-")
		if part == "" || len(part) > 8 || strings.Trim(part, letters+"0123456789") != "" {
			return false
		}
	}
	return true
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func changes(v *policy.Version, change policy.MaterialChange) bool {
	for _, c := range v.MaterialChanges {
		if c == change {
			return true
		}
	}
	return false
}

// exists turns the lost race of a creation into RESOURCE_EXISTS.
func exists(err error, name string) error {
	if errors.Is(err, store.ErrConflict) {
		return fault.New(fault.ResourceExists).WithField(name, "")
	}
	return storeFault(err)
}
