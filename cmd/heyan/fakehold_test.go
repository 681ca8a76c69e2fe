package main

import (
	"context"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// badMember is the refusal of one member of a request.
func badMember(reason, field, cause string) error {
	return refuse(codes.InvalidArgument, reason, "FIX_REQUEST",
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Reason: cause}}})
}

// CreateHold refuses by id.
func (f *fake) CreateHold(_ context.Context, r *heyanv1.CreateHoldRequest) (*heyanv1.Hold, error) {
	h := proto.CloneOf(r.GetHold())
	switch {
	case h.GetId() == "pii":
		return nil, badMember("FREE_TEXT_CARRIES_PII", "hold.reason", "")
	case h.GetId() == "nothing":
		return nil, badMember("REQUEST_MALFORMED", "hold.log_range.end_time", "BEFORE_FIRST_RECORD")
	case h.GetId() == "reversed":
		return nil, badMember("REQUEST_MALFORMED", "hold.log_range.end_time", "NOT_AFTER_START_TIME")
	case h.GetExpireTime() == nil && h.GetCause() == heyanv1.Hold_CAUSE_DISPUTE:
		return nil, badMember("FIELD_MISSING", "hold.expire_time", "")
	}
	h.State, h.Cost = heyanv1.Hold_STATE_ACTIVE, &heyanv1.HoldCost{Segments: 3, Records: 7680, Bytes: 3 << 20, Days: 42, DailyBytes: 2048,
		FirstTime: timestamppb.New(time.Date(2027, 6, 6, 16, 0, 0, 0, time.UTC))}
	if h.GetId() == "fresh" {
		h.Cost = &heyanv1.HoldCost{}
	}
	if !r.GetValidateOnly() {
		h.Revision = 1
	}
	return h, nil
}

func (f *fake) ReleaseHold(_ context.Context, r *heyanv1.ReleaseHoldRequest) (*heyanv1.Hold, error) {
	switch {
	case r.GetId() != "court-17":
		return nil, refuse(codes.NotFound, "RESOURCE_NOT_FOUND", "FIX_REQUEST")
	case r.GetApproval() == "":
		return nil, refuse(codes.FailedPrecondition, "APPROVAL_REQUIRED", "ASK_OPERATOR", "approval", approvalID)
	}
	return &heyanv1.Hold{Id: r.GetId(), State: heyanv1.Hold_STATE_RELEASED, LogRange: &heyanv1.Hold_LogRange{}, ReleasedBy: "wang-fang",
		ReleaseApprovedBy: "li-wei", ReleaseReason: r.GetReason(), ReleaseTime: timestamppb.New(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC))}, nil
}

// ListHolds has two pages.
func (f *fake) ListHolds(_ context.Context, r *heyanv1.ListHoldsRequest) (*heyanv1.ListHoldsResponse, error) {
	if r.GetPageToken() == "" {
		return &heyanv1.ListHoldsResponse{Holds: []*heyanv1.Hold{{Id: "court-17", Cause: heyanv1.Hold_CAUSE_COURT, State: heyanv1.Hold_STATE_ACTIVE,
			Reference: "17\x1b[31m", LogRange: &heyanv1.Hold_LogRange{}, Cost: &heyanv1.HoldCost{Segments: 1, Bytes: 2048}}}, NextPageToken: "p1"}, nil
	}
	return &heyanv1.ListHoldsResponse{Holds: []*heyanv1.Hold{{Id: "old", State: heyanv1.Hold_STATE_ENDED}}}, nil
}

func (f *fake) GetRetentionPolicy(context.Context, *heyanv1.GetRetentionPolicyRequest) (*heyanv1.RetentionPolicy, error) {
	p := &heyanv1.LogPeriod{Period: "P6M", GraceDays: 15}
	return &heyanv1.RetentionPolicy{LogConfigured: p, LogEffective: p, LogFloor: "P6M"}, nil
}

func (f *fake) UpdateRetentionPolicy(_ context.Context, r *heyanv1.UpdateRetentionPolicyRequest) (*heyanv1.RetentionPolicy, error) {
	p := r.GetRetentionPolicy()
	if p.GetLog().GetPeriod() == "P5M" {
		return nil, refuse(codes.FailedPrecondition, "RETENTION_BELOW_FLOOR", "FIX_REQUEST", &errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "retention_policy.log.period", Reason: "P6M_AT_LEAST"}}})
	}
	p = proto.CloneOf(p)
	p.LogEffective, p.LogConfigured, p.LogFloor, p.Revision, p.SetBy = p.GetLog(), p.GetLog(), "P6M", 4, "li-wei"
	return p, nil
}

func (f *fake) ListLogSegments(context.Context, *heyanv1.ListLogSegmentsRequest) (*heyanv1.ListLogSegmentsResponse, error) {
	at := timestamppb.New(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC))
	return &heyanv1.ListLogSegmentsResponse{Segments: []*heyanv1.LogSegment{
		{FirstIndex: 256, EndIndex: 512, Bytes: 12345, Sha256: make([]byte, 32), OldestTime: at, LatestTime: at, PurgeableFrom: at, KeptBy: "HELD", Hold: "court-17", Region: "cn-shanghai"},
		{FirstIndex: 512, EndIndex: 600, OldestTime: at, LatestTime: at, KeptBy: "LIVE"},
	}}, nil
}
