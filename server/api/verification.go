package api

import (
	"context"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/server/rpcerr"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/usage"
	"github.com/heyan-project/heyan/verifier/workday"
)

// Verification is heyan.v1.VerificationService. Every gate stands in package verifier.
type Verification struct {
	heyanv1.UnimplementedVerificationServiceServer
	d *Deps
}

// NewVerification makes the service.
func NewVerification(d *Deps) *Verification { return &Verification{d: d} }

// Verify answers one request.
func (s *Verification) Verify(ctx context.Context, m *heyanv1.VerifyRequest) (*heyanv1.VerifyResponse, error) {
	call := journal.From(ctx)
	request, refused := requestOf(m)
	call.SetAsked(s.asked(request))
	if refused != nil {
		return nil, refused
	}
	response, _, err := s.answer(ctx, m, request, call.Verification()) // its place is the call's own: the journal knows it
	return response, err
}

// asked is what a record may show of a request: a product of the catalogue, and names of fields.
func (s *Verification) asked(r *verifier.Request) (product string, fields []string) {
	if p, known := s.d.Catalogue.Get(r.Product); known {
		product = string(p.ID)
	}
	return product, presentIn(r.Fields).Names()
}

// callerOf returns who asks.
func callerOf(ctx context.Context) verifier.Caller {
	p := caller(ctx)
	return verifier.Caller{Client: p.ID, Test: p.Test, Credential: p.Credential}
}

// answer runs one request to its reply. at is the place of a record that says why an answer was withheld, on a
// refusal that has one.
func (s *Verification) answer(ctx context.Context, m *heyanv1.VerifyRequest, request *verifier.Request, entry verifier.Journal) (response *heyanv1.VerifyResponse, at ledger.Position, err error) {
	if m.GetValidateOnly() {
		response, err = s.validate(ctx, request)
		return response, at, err
	}
	answer, at, err := s.d.Verifier.Verify(ctx, callerOf(ctx), request, entry)
	if err != nil {
		return nil, at, err
	}
	reply, err := s.reply(ctx, m, answer)
	if err != nil {
		return nil, answer.At, err
	}
	return &heyanv1.VerifyResponse{Verification: reply}, ledger.Position{}, nil
}

// validate reports what the gates would refuse. A part of Heyan that cannot work is no violation of the request.
func (s *Verification) validate(ctx context.Context, request *verifier.Request) (*heyanv1.VerifyResponse, error) {
	violations, purpose := s.d.Verifier.Validate(ctx, callerOf(ctx), request)
	found := &heyanv1.Validation{Valid: len(violations) == 0, Purpose: purposeEnum.public(purpose)}
	for _, f := range violations {
		if f.Failure() {
			return nil, f
		}
		found.Violations = append(found.Violations, rpcerr.Status(f, "").Proto())
	}
	return &heyanv1.VerifyResponse{Validation: found}, nil
}

// reply is what leaves of an answer that is durable by now.
func (s *Verification) reply(ctx context.Context, m *heyanv1.VerifyRequest, answer *verifier.Answer) (*heyanv1.Verification, error) {
	v := answer.Verification
	if answer.Reused {
		key := usage.Key{Day: workday.DateOf(s.d.Now()), Client: v.Client, Product: v.Product, Test: v.Test}
		if err := s.d.Store.CountReplay(ctx, key); err != nil {
			return nil, storeFault(err)
		}
	}
	reply := publicVerification(v)
	reply.Reused = answer.Reused
	reply.LogEntry = publicPosition(answer.At)
	reply.Opening = answer.Opening[:]
	reply.ClientReference = m.GetClientReference()
	if m.GetReturnReceipt() {
		receipt, err := receiptOf(ctx, s.d.records, v.ID, answer.At, v.Resolution)
		if err != nil {
			return nil, err
		}
		reply.Receipt = receipt
	}
	return reply, nil
}
