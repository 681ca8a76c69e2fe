package main

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// What an audit administrator may read beside the log.

func (f *fake) ListOrigins(context.Context, *heyanv1.ListOriginsRequest) (*heyanv1.ListOriginsResponse, error) {
	head := f.log.checkpoint()
	return &heyanv1.ListOriginsResponse{Origins: []*heyanv1.Origin{{Id: fakeOrigin, Node: "fake1", VerifierKey: head.GetVerifierKey(),
		Checkpoint: head, Cause: "init", Live: true, Readable: true}}}, nil
}

func (f *fake) ListOperators(context.Context, *heyanv1.ListOperatorsRequest) (*heyanv1.ListOperatorsResponse, error) {
	return &heyanv1.ListOperatorsResponse{Operators: []*heyanv1.Operator{{Id: "zhao-min", PersonId: "zhao-min", Roles: []heyanv1.Role{heyanv1.Role_ROLE_AUDIT_ADMIN},
		State: heyanv1.Operator_STATE_EXPIRED, ExpireTime: timestamppb.New(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))}}}, nil
}

// ListCredentials refuses acme, as a server does where the role is missing.
func (f *fake) ListCredentials(ctx context.Context, _ *heyanv1.ListCredentialsRequest) (*heyanv1.ListCredentialsResponse, error) {
	if ctx.Value(fakeKey{}) == "acme" {
		return nil, refuse(codes.PermissionDenied, "ROLE_REQUIRED", "ASK_OPERATOR")
	}
	return &heyanv1.ListCredentialsResponse{Credentials: []*heyanv1.Credential{{Id: "0190-cred", Client: "client-0", Kind: heyanv1.Credential_KIND_API_KEY,
		State: heyanv1.Credential_STATE_ACTIVE}}}, nil
}

func (f *fake) ListEntitlements(context.Context, *heyanv1.ListEntitlementsRequest) (*heyanv1.ListEntitlementsResponse, error) {
	return &heyanv1.ListEntitlementsResponse{Entitlements: []*heyanv1.Entitlement{{Client: "client-0", Product: "id2",
		Purposes: []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING}}}}, nil
}
