package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heyan-project/heyan/cmd/heyan/internal/people"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// fresh returns an id that was not used before in this run.
func (d *demo) fresh(prefix string) string {
	d.count++
	return fmt.Sprintf("%s-%d", prefix, d.count)
}

// fieldsOf returns exactly a product's fields of a person.
func fieldsOf(product string, p people.Person) *heyanv1.Fields {
	row := p.Rows()[0]
	all := map[string]*string{"name": &row.Name, "id": &row.ID, "phone": &row.Phone, "card": &row.Card, "plate": &row.Plate, "licence": &row.Licence}
	f := &heyanv1.Fields{Name: all["name"]}
	switch strings.TrimRight(product, "234") {
	case "phone":
		f.PhoneNumber = all["phone"]
	case "card":
		f.BankCardNumber = all["card"]
	case "plate":
		f.LicensePlateNumber = all["plate"]
	case "driver":
		f.DriverLicenseNumber = all["licence"]
	}
	if product == "id2" || strings.HasSuffix(product, "3") || product == "card4" {
		f.IdNumber = all["id"]
	}
	if product == "card4" {
		f.PhoneNumber = all["phone"]
	}
	return f
}

// request is a lawful request about a person, under a fresh consent of theirs.
func (d *demo) request(product string, p people.Person) *heyanv1.VerifyRequest {
	r := &heyanv1.VerifyRequest{
		Product: product, Fields: fieldsOf(product, p), RequestId: d.fresh("demo"),
		Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: devNotice, ObtainTime: timestamppb.New(d.Now().Add(-time.Hour)), EvidenceRef: d.fresh("agreement")}},
	}
	if r.Fields.IdNumber == nil && r.Fields.DriverLicenseNumber == nil {
		r.AgeDeclaration = heyanv1.AgeDeclaration_AGE_DECLARATION_FOURTEEN_OR_OVER
	}
	return r
}

// verify sends a request as the client and returns the answer.
func (d *demo) verify(r *heyanv1.VerifyRequest) (*heyanv1.Verification, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	answer, err := heyanv1.NewVerificationServiceClient(d.client).Verify(ctx, r)
	return answer.GetVerification(), err
}

// expectVerify adds a row: a verdict or a reason.
func (d *demo) expectVerify(group, what, want string, r *heyanv1.VerifyRequest) *heyanv1.Verification {
	v, err := d.verify(r)
	if err != nil {
		d.refused(group, what, want, err, d.client)
		return nil
	}
	d.add(group, what, want, verdictOf(v), d.client.LogEntry())
	return v
}

func verdictOf(v *heyanv1.Verification) string {
	return strings.TrimPrefix(v.GetVerdict().String(), "VERDICT_")
}

// products runs every product three ways.
func (d *demo) products(context.Context) error {
	for _, product := range allProducts {
		match := d.request(product, d.cases.Everything)
		wrong := d.request(product, d.cases.Everything)
		wrong.Fields.Name = &d.cases.Absent.Name
		absent := d.request(product, d.cases.Absent)
		d.expectVerify("products", product+": who they say", "MATCH", match)
		d.expectVerify("products", product+": another name", "MISMATCH", wrong)
		d.expectVerify("products", product+": numbers that nobody has", "NO_RECORD", absent)
	}
	return nil
}

// sharing shows that two people who share a number never combine into a third.
func (d *demo) sharing(context.Context) error {
	a, b := d.cases.SharedSIM[0], d.cases.SharedSIM[1]
	phone := a.Phones[0]
	with := func(product, name string, id *string) *heyanv1.VerifyRequest {
		r := d.request(product, a)
		r.Fields = &heyanv1.Fields{Name: &name, PhoneNumber: &phone, IdNumber: id}
		if id != nil {
			r.AgeDeclaration = 0
		} else {
			r.AgeDeclaration = heyanv1.AgeDeclaration_AGE_DECLARATION_FOURTEEN_OR_OVER
		}
		return r
	}
	d.expectVerify("shared SIM", "the first holder", "MATCH", with("phone3", a.Name, &a.ID))
	d.expectVerify("shared SIM", "the second holder", "MATCH", with("phone3", b.Name, &b.ID))
	d.expectVerify("shared SIM", "one's name with the other's ID", "MISMATCH", with("phone3", a.Name, &b.ID))
	c, e := d.cases.CoOwned[0], d.cases.CoOwned[1]
	plate := c.Cars[0].Plate
	mixed := d.request("plate3", c)
	mixed.Fields = &heyanv1.Fields{Name: &c.Name, IdNumber: &e.ID, LicensePlateNumber: &plate}
	d.expectVerify("shared SIM", "co-owned car: one's name with the other's ID", "MISMATCH", mixed)
	return nil
}

// idempotency replays.
func (d *demo) idempotency(context.Context) error {
	r := d.request("id2", d.cases.Everything)
	first, err := d.verify(r)
	if err != nil {
		return err
	}
	again, err := d.verify(r)
	if err != nil {
		return err
	}
	same := "another answer"
	if again.GetReused() && again.GetId() == first.GetId() {
		same = "reused"
	}
	d.add("replay", "the same request again: the same answer, not billed twice", "reused", same, d.client.LogEntry())
	other := proto.Clone(r).(*heyanv1.VerifyRequest)
	other.Fields.Name = &d.cases.Absent.Name
	d.expectVerify("replay", "the same request_id for other content", "REQUEST_ID_REUSED", other)
	return nil
}

// consents shows what consent binds.
func (d *demo) consents(ctx context.Context) error {
	none := d.request("id2", d.cases.Everything)
	none.Ground = nil
	d.expectVerify("consent", "no consent and no legal basis", "CONSENT_MISSING", none)

	narrow := fullNotice("narrow-v1", false)
	narrow.Notice.Fields = narrow.Notice.Fields[:2]
	consents := heyanv1.NewConsentServiceClient(d.client)
	if _, err := consents.CreateNotice(ctx, narrow); err != nil {
		return err
	}
	scope := d.request("card2", d.cases.Everything)
	scope.GetConsent().Notice = "narrow-v1"
	scope.AgeDeclaration = heyanv1.AgeDeclaration_AGE_DECLARATION_FOURTEEN_OR_OVER
	d.expectVerify("consent", "a card under a notice that tells of name and ID only", "CONSENT_SCOPE", scope)

	first := d.request("id2", d.cases.Everything)
	if _, err := d.verify(first); err != nil {
		return err
	}
	stranger := d.request("id2", d.cases.SharedSIM[0])
	stranger.GetConsent().EvidenceRef = first.GetConsent().GetEvidenceRef()
	d.expectVerify("consent", "another person under the same evidence", "CONSENT_SUBJECT_MISMATCH", stranger)

	if _, err := consents.WithdrawConsent(ctx, &heyanv1.WithdrawConsentRequest{Target: &heyanv1.WithdrawConsentRequest_Evidence{
		Evidence: &heyanv1.Evidence{Notice: devNotice, EvidenceRef: first.GetConsent().GetEvidenceRef()}}}); err != nil {
		return err
	}
	d.add("consent", "the person withdraws", "withdrawn", "withdrawn", d.client.LogEntry())
	after := d.request("id2", d.cases.Everything)
	after.GetConsent().EvidenceRef = first.GetConsent().GetEvidenceRef()
	d.expectVerify("consent", "a new call under the withdrawn consent", "CONSENT_WITHDRAWN", after)
	d.expectVerify("consent", "the earlier request again", "CONSENT_WITHDRAWN", first)
	return nil
}

// children shows the rule for people under 14.
func (d *demo) children(context.Context) error {
	child := d.request("id2", d.cases.Child)
	d.expectVerify("under 14", "an ID number of a child, no guardian", "UNDER_14_WITHOUT_GUARDIAN", child)
	with := d.request("id2", d.cases.Child)
	with.Guardian = &heyanv1.Guardian{Relation: heyanv1.GuardianRelation_GUARDIAN_RELATION_PARENT, EvidenceRef: "guardian-1", ObtainTime: timestamppb.Now()}
	d.expectVerify("under 14", "with the guardian's consent", "MATCH", with)
	declared := d.request("phone2", d.cases.Everything)
	declared.AgeDeclaration = 0
	d.expectVerify("under 14", "no birth date in the values and no declaration", "FIELD_MISSING", declared)
	return nil
}
