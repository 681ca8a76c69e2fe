package main

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// caller is one of the 32.
type caller struct {
	*crash
	round  int
	client heyanv1.VerificationServiceClient
	chance *mathrand.Rand
}

// act makes one call.
func (c *caller) act(ctx context.Context) {
	switch n := c.chance.IntN(100); {
	case n < 55:
		c.one(ctx, c.fresh())
	case n < 70:
		c.batch(ctx)
	case n < 88:
		if s := c.pick(); s != nil {
			c.countReplay()
			c.one(ctx, s)
		}
	case n < 97:
		c.withdraw(ctx)
	default:
		c.refused(ctx)
	}
}

// fresh makes a request that was never sent, mostly with an inline consent, at times under one that is on file.
func (c *caller) fresh() *sent {
	p := c.people[c.chance.IntN(len(c.people))]
	product := crashProducts[c.chance.IntN(len(crashProducts))]
	if product == scarce && c.spent.Load() {
		product = "id2"
	}
	s := &sent{want: heyanv1.Verdict_VERDICT_MATCH, round: c.round, consent: &consentOf{evidence: fmt.Sprintf("e-%d", c.next.Add(1))}}
	fields := fieldsOf(product, p)
	switch c.chance.IntN(10) {
	case 0:
		fields.Name, s.want = &c.absent.Name, heyanv1.Verdict_VERDICT_MISMATCH
	case 1:
		fields, s.want = fieldsOf(product, c.absent), heyanv1.Verdict_VERDICT_NO_RECORD
	}
	s.request = &heyanv1.VerifyRequest{
		Product: product, Fields: fields, RequestId: fmt.Sprintf("r-%d", c.next.Add(1)),
		Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: devNotice, ObtainTime: timestamppb.New(time.Now().Add(-time.Hour)), EvidenceRef: s.consent.evidence}},
	}
	if fields.IdNumber == nil && fields.DriverLicenseNumber == nil {
		s.request.AgeDeclaration = heyanv1.AgeDeclaration_AGE_DECLARATION_FOURTEEN_OR_OVER
	}
	if c.chance.IntN(5) == 0 {
		c.share(s)
	}
	c.crash.mu.Lock()
	c.sent = append(c.sent, s)
	c.crash.mu.Unlock()
	return s
}

// share puts a request under the consent of an earlier one, about the same person.
func (c *caller) share(s *sent) {
	earlier := c.pick()
	if earlier == nil || earlier.consent.asked.Load() || earlier.request.GetProduct() == scarce {
		return
	}
	id := earlier.consent.id.Load()
	if id == nil {
		return
	}
	request := proto.CloneOf(earlier.request)
	request.RequestId = s.request.GetRequestId()
	request.Ground = &heyanv1.VerifyRequest_ConsentId{ConsentId: *id}
	s.request, s.want, s.consent = request, earlier.want, earlier.consent
}

// pick picks a request that was answered.
func (c *caller) pick() *sent {
	c.crash.mu.Lock()
	defer c.crash.mu.Unlock()
	if len(c.answered) == 0 {
		return nil
	}
	return c.answered[c.chance.IntN(len(c.answered))]
}

func (c *crash) countReplay() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replays++
}

// one sends one request and notes what came of it.
func (c *caller) one(ctx context.Context, s *sent) {
	gone := s.consent.done.Load()
	answer, err := c.client.Verify(ctx, s.request)
	c.heard(s, gone, answer.GetVerification(), err)
}

func (c *caller) batch(ctx context.Context) {
	request := &heyanv1.BatchVerifyRequest{}
	list := make([]*sent, 2+c.chance.IntN(7))
	gone := make([]bool, len(list))
	for i := range list {
		list[i] = c.fresh()
		gone[i] = list[i].consent.done.Load()
		request.Requests = append(request.Requests, list[i].request)
	}
	answer, err := c.client.BatchVerify(ctx, request)
	for i, s := range list {
		if err != nil {
			c.heard(s, gone[i], nil, err)
			continue
		}
		item := answer.GetItems()[i]
		var refused error
		if item.GetStatus() != nil {
			refused = status.ErrorProto(item.GetStatus())
		}
		c.heard(s, gone[i], item.GetResponse().GetVerification(), refused)
	}
}

// heard notes an answer. gone says that the withdrawal of the consent was acknowledged before the request was sent.
func (c *crash) heard(s *sent, gone bool, v *heyanv1.Verification, err error) {
	if err != nil {
		c.refusedAs(s, err)
		return
	}
	switch {
	case gone:
		c.t.Errorf("%s was answered under a consent whose withdrawal was acknowledged", s.request.GetRequestId())
	case v.GetVerdict() != s.want:
		c.t.Errorf("%s: %s, want %s", s.request.GetRequestId(), v.GetVerdict(), s.want)
	}
	id := v.GetConsent()
	s.consent.id.Store(&id)
	s.mu.Lock()
	first := s.id == ""
	if first {
		s.id = v.GetId()
	} else if s.id != v.GetId() {
		c.t.Errorf("%s was answered as %s and as %s", s.request.GetRequestId(), s.id, v.GetId())
	}
	s.acks = append(s.acks, ack{entry: v.GetLogEntry(), opening: v.GetOpening(), reused: v.GetReused()})
	s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if first {
		c.answered = append(c.answered, s)
	}
	c.tally.answers++
	if v.GetReused() {
		c.tally.replays++
	}
}

// refusedAs checks that a refusal is one that may be.
func (c *crash) refusedAs(s *sent, err error) {
	reason, _ := reasonAndFact(err, "")
	switch {
	case reason == "" && c.killed.Load():
		c.broken.Store(true)
	case reason == "CONSENT_WITHDRAWN" && s.consent.asked.Load():
		s.refused.Store(true)
	case reason == "QUOTA_EXCEEDED" && s.request.GetProduct() == scarce:
		s.refused.Store(true)
		c.spent.Store(true)
	default:
		c.t.Errorf("%s: %s %v", s.request.GetRequestId(), reason, err)
	}
}

// withdraw withdraws a consent, by its id or by its evidence.
func (c *caller) withdraw(ctx context.Context) {
	s := c.pick()
	// A consent that many requests share is worth more alive.
	if s == nil || c.chance.IntN(3) > 0 || s.consent.asked.Swap(true) {
		return
	}
	request := &heyanv1.WithdrawConsentRequest{Target: &heyanv1.WithdrawConsentRequest_Evidence{
		Evidence: &heyanv1.Evidence{Notice: devNotice, EvidenceRef: s.consent.evidence}}}
	if id := s.consent.id.Load(); id != nil && c.chance.IntN(2) == 0 {
		request.Target = &heyanv1.WithdrawConsentRequest_Id{Id: *id}
	}
	if _, err := c.consent.WithdrawConsent(ctx, request); err != nil {
		if !c.killed.Load() {
			c.t.Errorf("withdrawing: %v", err)
		}
		return
	}
	s.consent.done.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally.withdrawals++
}

// refused sends a wrong check digit: refusals are under load too, and leave no row.
func (c *caller) refused(ctx context.Context) {
	p := c.people[c.chance.IntN(len(c.people))]
	wrong := spoil(p.ID)
	_, err := c.client.Verify(ctx, &heyanv1.VerifyRequest{
		Product: "id2", Fields: &heyanv1.Fields{Name: &p.Name, IdNumber: &wrong}, RequestId: fmt.Sprintf("x-%d", c.next.Add(1)),
		Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: devNotice, ObtainTime: timestamppb.Now(), EvidenceRef: fmt.Sprintf("e-%d", c.next.Add(1))}}})
	if reason, _ := reasonAndFact(err, ""); reason != "FIELD_MALFORMED" && !c.killed.Load() {
		c.t.Errorf("a wrong check digit: %v", err)
	}
}
