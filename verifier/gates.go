package verifier

import (
	"context"
	"time"

	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/source"
	"github.com/heyan-project/heyan/verifier/subject"
)

// call is one request on its way through the gates.
type call struct {
	*Verifier
	caller    Caller
	request   *Request
	directory Directory
	now       time.Time
	collect   bool           // validate_only: go on after a refusal where the next gate makes sense
	refusals  []*fault.Fault // collected so far

	product      *product.Product
	entitlement  *product.Entitlement
	policy       string
	renewal      time.Time // a consent obtained before needs renewal
	fields       field.Set
	values       []field.Value
	child        bool
	notice       *consent.Notice
	basis        *consent.LegalBasis
	consentID    ledger.ID
	evidence     digest.Digest
	purpose      product.Purpose
	source       source.Source
	handles      []subject.Handle
	restrictions []subject.Handle
	requestKey   digest.Digest
	token        ledger.Token
	stored       *consent.Consent // the consent on file, as the claim found it
}

func (c *call) owner() string { return Owner(c.caller.Client, c.caller.Test) }

// gates runs the gates that need no claim. With collect it notes refusals and goes on as far as it can.
func (c *call) gates(ctx context.Context) *fault.Fault {
	for _, gate := range []func(context.Context) *fault.Fault{
		c.checkEntitlement, c.checkPurpose, c.checkFields, c.checkReferences, c.readGround, c.checkAge, c.digest, c.checkGround, c.chooseSource,
	} {
		f := gate(ctx)
		if f == nil {
			continue
		}
		if !c.collect || c.product == nil || c.entitlement == nil {
			return f
		}
		c.refusals = append(c.refusals, f)
	}
	return nil
}

func (c *call) checkEntitlement(context.Context) *fault.Fault {
	if c.request.Product == "" {
		return fault.New(fault.FieldMissing).WithField("product", "")
	}
	p, known := c.Catalogue.Get(c.request.Product)
	if !known {
		return fault.New(fault.ProductNotEntitled)
	}
	c.product = p
	e := c.directory.Entitlement(c.caller.Client, p.ID)
	if f := e.Check(c.now); f != nil {
		return f.With("product", string(p.ID))
	}
	c.entitlement = e
	acknowledged := false
	if c.policy, acknowledged = c.directory.Policy(c.caller.Client, c.now); !acknowledged {
		return fault.New(fault.PolicyVersionRequired).With("policy_version", c.policy).
			WithHint("The client has to acknowledge the policy in force: CatalogService.AcknowledgePolicy.")
	}
	return nil
}

// checkAgain looks once more at what may have been stopped since the gates: the client, its credential, the entitlement.
// A stop changes the directory first and strikes open claims then, so that it meets every call here or at its commit
// (ME-1-stop-misuse).
func (c *call) checkAgain() *fault.Fault {
	fresh := c.Directory()
	if fresh == c.directory {
		return nil
	}
	if f := fresh.Access(c.caller.Client, c.caller.Credential, c.now); f != nil {
		return f
	}
	if f := fresh.Entitlement(c.caller.Client, c.product.ID).Check(c.now); f != nil {
		return f.With("product", string(c.product.ID))
	}
	return nil
}

// checkPurpose refuses a stated purpose that is not entitled. One that is not stated is settled with the
// ground of the call, which may leave exactly one.
func (c *call) checkPurpose(context.Context) *fault.Fault {
	if c.request.Purpose == 0 {
		return nil
	}
	if !c.entitlement.Purposes.Has(c.request.Purpose) {
		return fault.New(fault.PurposeNotEntitled).With("product", string(c.product.ID))
	}
	c.purpose = c.request.Purpose
	return nil
}

// checkFields is the whitelist, then each field's own rule (MV-1.1-whitelist, MV-1.1-necessary-or-no-service,
// MV-0-minimum: an empty string is a missing field, never a stored one).
func (c *call) checkFields(context.Context) *fault.Fault {
	var present, empty field.Set
	for _, f := range c.request.Fields {
		present = present.With(f.Kind)
		if f.Text.Empty() {
			empty = empty.With(f.Kind)
		}
	}
	if f := c.product.CheckFields(present, c.Catalogue.Fitting); f != nil {
		return f
	}
	if empty.Len() > 0 {
		f := fault.New(fault.FieldMissing)
		for _, name := range empty.Names() {
			f.WithField("fields."+name, "EMPTY")
		}
		return f
	}
	c.fields = present
	c.values = make([]field.Value, 0, len(c.request.Fields))
	var malformed *fault.Fault
	for _, f := range c.request.Fields {
		value, err := c.Rules.Parse(f.Kind, f.Text.Reveal(), c.now)
		if err != nil {
			found := fault.Of(err)
			if malformed == nil {
				malformed = found
			} else {
				malformed.Violations = append(malformed.Violations, found.Violations...)
			}
			continue
		}
		c.values = append(c.values, value)
	}
	return malformed
}

// checkReferences checks what a caller chose beside the fields, by form only.
func (c *call) checkReferences(context.Context) *fault.Fault {
	r := c.request
	if r.RequestID == "" {
		return fault.New(fault.FieldMissing).WithField("request_id", "")
	}
	malformed := fault.New(fault.RequestMalformed)
	if !product.ValidReference(r.RequestID) {
		malformed.WithField("request_id", "REFERENCE")
	}
	if r.Reference != "" && !product.ValidReference(r.Reference) {
		malformed.WithField("client_reference", "REFERENCE")
	}
	if r.Consent != nil && r.Consent.EvidenceRef != "" && !product.ValidReference(r.Consent.EvidenceRef) {
		malformed.WithField("consent.evidence_ref", "REFERENCE")
	}
	if r.Guardian != nil && r.Guardian.EvidenceRef != "" && !product.ValidReference(r.Guardian.EvidenceRef) {
		malformed.WithField("guardian.evidence_ref", "REFERENCE")
	}
	if r.PlateKind != "" {
		if !c.product.Fields.Has(field.LicensePlateNumber) {
			malformed.WithField("plate_kind", "WITHOUT_PLATE")
		} else if !dataset.ValidPlateKind(r.PlateKind) {
			malformed.WithField("plate_kind", "TWO_DIGITS")
		}
	}
	if len(malformed.Violations) > 0 {
		return malformed
	}
	return nil
}

// readGround finds the notice or legal basis that the call names. The age rule needs the notice, so it is
// read first; it is judged in checkGround.
func (c *call) readGround(ctx context.Context) *fault.Fault {
	r := c.request
	c.renewal = c.directory.Renewal(c.now)
	switch {
	case r.Consent != nil:
		c.notice = c.directory.Notice(c.caller.Client, r.Consent.Notice)
	case r.ConsentID != "":
		id, err := ledger.ParseID(r.ConsentID)
		if err != nil {
			return nil // checkGround answers
		}
		stored, err := c.Consents.Consent(ctx, c.caller.Client, id, 0)
		if err != nil {
			if f := fault.Of(err); f.Reason == fault.StoreUnavailable {
				return f
			}
			return nil
		}
		if stored.Test != c.caller.Test {
			return nil // of the other world: not on file here
		}
		c.consentID = id
		c.notice = c.directory.Notice(c.caller.Client, stored.Notice)
	case r.LegalBasis != "":
		c.basis = c.directory.LegalBasis(r.LegalBasis)
	}
	return nil
}

func (c *call) checkAge(context.Context) *fault.Fault {
	if len(c.values) < len(c.request.Fields) {
		return nil // only while refusals are collected: a field was refused, and may have held the birth date
	}
	child, f := consent.CheckAge(c.values, c.request.AgeDeclaration, c.notice, c.request.Guardian, c.now, c.renewal)
	c.child = child
	return f
}

// digest makes the keyed digests of the call, in memory only.
func (c *call) digest(context.Context) *fault.Fault {
	if len(c.values) == 0 || c.collect && len(c.refusals) > 0 {
		return nil
	}
	c.handles = subject.Handles(c.Keys, c.values, c.caller.Test)
	c.restrictions = subject.Restrictions(c.Keys, c.values)
	c.requestKey = RequestKey(c.Keys, c.owner(), c.request.RequestID)
	if c.request.Consent != nil {
		c.evidence = EvidenceKey(c.Keys, c.owner(), c.request.Consent.EvidenceRef)
	}
	return nil
}

// checkGround is the gate of consent or legal basis, as far as it needs no state of the person.
func (c *call) checkGround(context.Context) *fault.Fault {
	r := c.request
	if r.LegalBasis != "" {
		if f := c.settlePurpose(basisPurposes(c.basis)); f != nil {
			return f
		}
		return c.basis.CheckUse(c.entitlement, c.purpose, c.now)
	}
	if c.notice == nil {
		f := fault.New(fault.ConsentMissing)
		switch {
		case r.Consent != nil:
			f.WithField("consent.notice", "NOT_ON_FILE")
		case r.ConsentID != "":
			f.WithField("consent_id", "NOT_ON_FILE")
		}
		return f
	}
	if r.Consent != nil {
		if r.Consent.EvidenceRef == "" {
			return fault.New(fault.ConsentMissing).WithField("consent.evidence_ref", "MISSING")
		}
		if f := consent.CheckObtained(c.notice, r.Consent.ObtainTime, c.now, c.renewal); f != nil {
			return f
		}
	}
	if f := c.settlePurpose(c.notice.Purposes); f != nil {
		return f
	}
	needed := consent.Needed(c.fields, c.entitlement.HandlerRole, len(c.Sources.Recipients(c.product.ID)))
	return c.notice.CheckScope(c.fields, c.purpose, needed)
}

func basisPurposes(b *consent.LegalBasis) product.Purposes {
	if b == nil {
		return 0
	}
	return b.Purposes
}

// settlePurpose takes the only purpose that entitlement and ground leave, where none was stated.
func (c *call) settlePurpose(ground product.Purposes) *fault.Fault {
	if c.purpose != 0 {
		return nil
	}
	both := c.entitlement.Purposes.Both(ground)
	if both == 0 {
		if c.request.LegalBasis != "" {
			return nil // the basis gate answers
		}
		return fault.New(fault.PurposeNotConsented).With("product", string(c.product.ID))
	}
	only, ok := both.Only()
	if !ok {
		return fault.New(fault.FieldMissing).WithField("purpose", "").
			WithHint("Entitlement and ground leave more than one purpose: state which.")
	}
	c.purpose = only
	return nil
}

func (c *call) chooseSource(context.Context) *fault.Fault {
	chosen, err := c.Sources.Choose(c.product.ID, c.caller.Test, func(recipient string) bool {
		return c.notice == nil || c.notice.Names(recipient)
	})
	if err != nil {
		return fault.Of(err)
	}
	c.source = chosen
	return nil
}

// checkStored judges what only the claim could tell of the consent.
func (c *call) checkStored() *fault.Fault {
	if c.stored == nil {
		return nil
	}
	if f := c.stored.Check(c.now, c.renewal); f != nil {
		return f
	}
	if c.child && !c.stored.Guardian {
		return fault.New(fault.Under14WithoutGuardian).WithHint("The consent on file is not a guardian's.")
	}
	return nil
}
