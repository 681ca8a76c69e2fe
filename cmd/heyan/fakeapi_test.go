package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/field"
)

// Verify answers by name, as the simulator does, and refuses by evidence_ref.
func (f *fake) Verify(ctx context.Context, r *heyanv1.VerifyRequest) (*heyanv1.VerifyResponse, error) {
	if r.GetRequestId() == "" || r.GetGround() == nil {
		return nil, refuse(codes.FailedPrecondition, "CONSENT_MISSING", "FIX_CONSENT")
	}
	switch r.GetConsent().GetEvidenceRef() {
	case "withdrawn":
		return nil, refuse(codes.FailedPrecondition, "CONSENT_WITHDRAWN", "FIX_CONSENT")
	case "check":
		return nil, refuse(codes.InvalidArgument, "FIELD_MALFORMED", "FIX_REQUEST", &errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "fields.id_number", Reason: "CHECK_DIGIT"}}})
	case "echo": // what no Heyan server does
		return nil, refuse(codes.FailedPrecondition, "NEW_REASON", "ASK_OPERATOR", "about", r.GetFields().GetIdNumber(),
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{
				Field: r.GetFields().GetName(), Description: r.GetFields().GetPhoneNumber()}}},
			&errdetails.LocalizedMessage{Locale: "zh-CN", Message: r.GetFields().GetName()})
	case "flaky":
		f.mu.Lock()
		f.attempts++
		again := f.attempts < 3
		f.mu.Unlock()
		if again {
			return nil, refuse(codes.Unavailable, "STORE_UNAVAILABLE", "RETRY_SAME_ID")
		}
	case "down":
		return nil, refuse(codes.Unavailable, "LOG_UNAVAILABLE", "RETRY_SAME_ID")
	case "hang":
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if r.GetValidateOnly() {
		return f.validate(r)
	}
	if strings.HasPrefix(r.GetRequestId(), "slow-") { // the earlier of two is answered later
		time.Sleep(time.Duration('9'-r.GetRequestId()[5]) * 5 * time.Millisecond)
	}
	return &heyanv1.VerifyResponse{Verification: f.verification(r)}, nil
}

func (f *fake) validate(r *heyanv1.VerifyRequest) (*heyanv1.VerifyResponse, error) {
	validation := &heyanv1.Validation{Valid: r.GetFields().GetName() == "测试一致", Purpose: r.GetPurpose()}
	if !validation.GetValid() {
		validation.Violations = append(validation.Violations,
			status.Convert(refuse(codes.FailedPrecondition, "CONSENT_EXPIRED", "FIX_CONSENT")).Proto(),
			status.Convert(refuse(codes.ResourceExhausted, "QUOTA_EXCEEDED", "ASK_OPERATOR")).Proto())
	}
	return &heyanv1.VerifyResponse{Validation: validation}, nil
}

func (f *fake) verification(r *heyanv1.VerifyRequest) *heyanv1.Verification {
	v := &heyanv1.Verification{
		Id: "0190-" + r.GetRequestId(), Verdict: heyanv1.Verdict_VERDICT_NO_RECORD, Product: r.GetProduct(), Purpose: r.GetPurpose(),
		Source: "registry", Dataset: "people/3", Billing: heyanv1.Billing_BILLING_FREE, State: heyanv1.Verification_STATE_ACTIVE,
		Opening: make([]byte, 32), ClientReference: r.GetClientReference(), Consent: "0190-consent",
		VerifyTime: timestamppb.New(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)),
	}
	switch r.GetFields().GetName() {
	case "测试一致", "张三":
		v.Verdict, v.Billing = heyanv1.Verdict_VERDICT_MATCH, heyanv1.Billing_BILLING_BILLED
	case "测试不一致":
		v.Verdict, v.Billing = heyanv1.Verdict_VERDICT_MISMATCH, heyanv1.Billing_BILLING_BILLED
	case "测试未知":
		v.Verdict, v.Billing, v.State = 0, heyanv1.Billing_BILLING_UNKNOWN, heyanv1.Verification_STATE_PENDING
	}
	if _, err := rand.Read(v.Opening); err != nil {
		panic(err)
	}
	index := f.log.add(f.leaf(r, v))
	v.LogEntry = &heyanv1.LogPosition{Origin: fakeOrigin, Index: index}
	if r.GetReturnReceipt() {
		v.Receipt = f.log.receipt(index)
	}
	return v
}

func (f *fake) leaf(r *heyanv1.VerifyRequest, v *heyanv1.Verification) *record.Record {
	var rules *field.Rules
	var committed []record.CommittedField
	for _, kind := range field.Kinds() {
		if value := getField(r.GetFields(), kind); value != nil {
			parsed, err := rules.Parse(kind, *value, time.Now())
			if err != nil {
				continue
			}
			committed = append(committed, record.CommittedField{Number: uint32(kind), Form: uint32(parsed.Form()),
				Canonical: []byte(parsed.Canonical().Reveal())})
		}
	}
	event, _ := record.ParseEvent("verification.verify")
	return &record.Record{
		Event: event, Actor: record.Actor{Kind: record.ActorClient, ID: "acme"}, Outcome: record.Outcome{Kind: record.Success},
		Processing: &record.Processing{Product: r.GetProduct(), Verdict: enumText(v.GetVerdict()), Billing: enumText(v.GetBilling()),
			AsOf: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)},
		Traffic:    record.Traffic{Duration: 1500 * time.Microsecond},
		Commitment: record.Commit(v.GetOpening(), record.Committed(r.GetProduct(), committed)),
	}
}

func (f *fake) BatchVerify(ctx context.Context, r *heyanv1.BatchVerifyRequest) (*heyanv1.BatchVerifyResponse, error) {
	answer := &heyanv1.BatchVerifyResponse{}
	for _, one := range r.GetRequests() {
		item := &heyanv1.BatchVerifyResponse_Item{}
		if response, err := f.Verify(ctx, one); err != nil {
			item.Result = &heyanv1.BatchVerifyResponse_Item_Status{Status: status.Convert(err).Proto()}
		} else {
			item.Result = &heyanv1.BatchVerifyResponse_Item_Response{Response: response}
		}
		answer.Items = append(answer.Items, item)
	}
	return answer, nil
}

func (f *fake) GetReceipt(_ context.Context, r *heyanv1.GetReceiptRequest) (*heyanv1.Receipt, error) {
	if r.GetId() != "0190-first" {
		return nil, refuse(codes.NotFound, "RESOURCE_NOT_FOUND", "FIX_REQUEST")
	}
	return f.log.receipt(0), nil
}

func (f *fake) GetProduct(_ context.Context, r *heyanv1.GetProductRequest) (*heyanv1.Product, error) {
	if r.GetId() != "id2" {
		return nil, refuse(codes.NotFound, "RESOURCE_NOT_FOUND", "FIX_REQUEST")
	}
	return &heyanv1.Product{Id: "id2", Title: "身份证二要素", Anchor: heyanv1.Field_FIELD_ID_NUMBER, Entitled: true,
		PriceFen: proto.Int64(35), Fields: []heyanv1.Field{heyanv1.Field_FIELD_NAME, heyanv1.Field_FIELD_ID_NUMBER}}, nil
}

func (f *fake) ListPolicies(context.Context, *heyanv1.ListPoliciesRequest) (*heyanv1.ListPoliciesResponse, error) {
	return &heyanv1.ListPoliciesResponse{}, nil
}

// ListClients has three pages.
func (f *fake) ListClients(_ context.Context, r *heyanv1.ListClientsRequest) (*heyanv1.ListClientsResponse, error) {
	page := map[string]int{"": 0, "p1": 1, "p2": 2}[r.GetPageToken()]
	answer := &heyanv1.ListClientsResponse{Clients: []*heyanv1.Client{{Id: fmt.Sprint("client-", page), DisplayName: "公司\x1b[31m"}}}
	if page < 2 {
		answer.NextPageToken = fmt.Sprint("p", page+1)
	}
	return answer, nil
}

func (f *fake) UpdateClient(_ context.Context, r *heyanv1.UpdateClientRequest) (*heyanv1.Client, error) {
	return r.GetClient(), nil
}

func (f *fake) IssueCredential(_ context.Context, r *heyanv1.IssueCredentialRequest) (*heyanv1.IssueCredentialResponse, error) {
	if r.GetClient() == "unavailable" {
		f.mu.Lock()
		f.attempts++
		f.mu.Unlock()
		return nil, refuse(codes.Unavailable, "LOG_UNAVAILABLE", "RETRY_SAME_ID", "attempts", f.attempts)
	}
	answer := &heyanv1.IssueCredentialResponse{Credential: &heyanv1.Credential{Id: "0190-cred", Client: r.GetClient(), Kind: r.GetKind()}}
	if r.GetKind() == heyanv1.Credential_KIND_API_KEY {
		answer.ApiKey = "hk_new"
	}
	return answer, nil
}

func (f *fake) UnlockCredential(_ context.Context, r *heyanv1.UnlockCredentialRequest) (*heyanv1.Credential, error) {
	return &heyanv1.Credential{Id: r.GetId(), State: heyanv1.Credential_STATE_ACTIVE, Reason: r.GetReason()}, nil
}

func (f *fake) RevokeEntitlement(_ context.Context, r *heyanv1.RevokeEntitlementRequest) (*heyanv1.Entitlement, error) {
	return &heyanv1.Entitlement{Client: r.GetClient(), Product: r.GetProduct(), Revoked: true, Reason: r.GetReason()}, nil
}

func (f *fake) ListDatasets(context.Context, *heyanv1.ListDatasetsRequest) (*heyanv1.ListDatasetsResponse, error) {
	return &heyanv1.ListDatasetsResponse{Datasets: []*heyanv1.Dataset{{Id: "people", Generations: []*heyanv1.Dataset_Generation{{
		Number: 1, State: heyanv1.Dataset_STATE_REPLACED, Rows: 9, DeletedRecords: 5, Reason: "wrong file",
		Deletions: []*heyanv1.Dataset_Deletion{{DeletedBy: "wang-fang", Records: 5, Reason: "correction 17"}},
	}}}}}, nil
}

// approvalID is that of the one act of two persons.
const approvalID = "0190-approval"

func (f *fake) SetOperator(_ context.Context, r *heyanv1.SetOperatorRequest) (*heyanv1.Operator, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cause, ok := strings.CutPrefix(r.GetApproval(), "0190-"); ok && strings.ToUpper(cause) == cause {
		return nil, refuse(codes.FailedPrecondition, "APPROVAL_REQUIRED", "ASK_OPERATOR",
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "approval", Reason: cause}}})
	}
	if r.GetApproval() == "" || !f.approved[r.GetApproval()] {
		return nil, refuse(codes.FailedPrecondition, "APPROVAL_REQUIRED", "ASK_OPERATOR", "approval", approvalID)
	}
	return r.GetOperator(), nil
}

func (f *fake) ListApprovals(_ context.Context, r *heyanv1.ListApprovalsRequest) (*heyanv1.ListApprovalsResponse, error) {
	sum := sha256.Sum256([]byte("the request"))
	return &heyanv1.ListApprovalsResponse{Approvals: []*heyanv1.Approval{{
		Id: approvalID, Method: "/heyan.v1.AccessService/SetOperator", State: heyanv1.Approval_STATE_WAITING,
		Summary: []string{"operator li-wei", "roles: SYSTEM_ADMIN"}, RequestedBy: "wang-fang", RequestSha256: sum[:],
	}}}, nil
}

func (f *fake) Approve(_ context.Context, r *heyanv1.ApproveRequest) (*heyanv1.Approval, error) {
	if sum := sha256.Sum256([]byte("the request")); string(sum[:]) != string(r.GetRequestSha256()) {
		return nil, refuse(codes.FailedPrecondition, "REVISION_CONFLICT", "FIX_REQUEST")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.approved[r.GetId()] = true
	return &heyanv1.Approval{Id: r.GetId(), State: heyanv1.Approval_STATE_APPROVED}, nil
}

func (f *fake) WithdrawConsent(_ context.Context, r *heyanv1.WithdrawConsentRequest) (*heyanv1.WithdrawConsentResponse, error) {
	return &heyanv1.WithdrawConsentResponse{Consents: []string{"0190-consent"}}, nil
}

// ImportRecords checks header, sizes and that row numbers follow each other upwards; it refuses the name 无锚 itself.
func (f *fake) ImportRecords(stream heyanv1.AdminService_ImportRecordsServer) error {
	m, err := stream.Recv()
	if err != nil || m.GetHeader().GetDataset() == "" || m.GetHeader().GetAsOf() == nil {
		return refuse(codes.InvalidArgument, "REQUEST_MALFORMED", "FIX_REQUEST")
	}
	answer := &heyanv1.ImportRecordsResponse{Dataset: m.GetHeader().GetDataset(), Generation: 3}
	next := uint64(1)
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(answer)
		}
		if err != nil {
			return err
		}
		rows := m.GetRows()
		if rows.GetFirstRow() < next || len(rows.GetRows()) == 0 || len(rows.GetRows()) > 1000 || proto.Size(m) > 64<<10 {
			return refuse(codes.InvalidArgument, "REQUEST_MALFORMED", "FIX_REQUEST", "row", rows.GetFirstRow())
		}
		next = rows.GetFirstRow() + uint64(len(rows.GetRows()))
		for i, row := range rows.GetRows() {
			if row.GetFields().GetName() == "欧阳无锚" {
				answer.RejectedRows++
				answer.Rejects = append(answer.Rejects, &heyanv1.ImportRecordsResponse_Reject{
					Row: rows.GetFirstRow() + uint64(i), Cause: "NO_ANCHOR"})
				continue
			}
			if row.GetFields().GetName() == "满了" {
				return refuse(codes.Unavailable, "STORE_UNAVAILABLE", "RETRY_SAME_ID")
			}
			answer.AcceptedRows++
		}
	}
}

func (f *fake) ListLogEntries(r *heyanv1.ListLogEntriesRequest, stream heyanv1.LogService_ListLogEntriesServer) error {
	if origin := r.GetOrigin(); origin != "" && origin != fakeOrigin {
		return refuse(codes.NotFound, "RESOURCE_NOT_FOUND", "FIX_REQUEST")
	}
	f.log.mu.Lock()
	leaves := f.log.leaves
	f.log.mu.Unlock()
	count := uint64(0)
	var missing []string
	if r.GetFilter().GetClient() == "several" {
		missing = []string{"lost1-0123456789abcdef"}
		if err := stream.Send(&heyanv1.ListLogEntriesResponse{Origins: []string{"old1-0123456789abcdef", fakeOrigin}, MissingOrigins: missing}); err != nil {
			return err
		}
	}
	for i, leaf := range leaves {
		index := uint64(i)
		if index < r.GetStartIndex() || r.GetEndIndex() > 0 && index >= r.GetEndIndex() ||
			r.GetLast() > 0 && i < len(leaves)-int(r.GetLast()) {
			continue
		}
		count++
		err := stream.Send(&heyanv1.ListLogEntriesResponse{Position: &heyanv1.LogPosition{Origin: fakeOrigin, Index: index}, Leaf: leaf})
		if err != nil {
			return err
		}
	}
	if r.GetFollow() && r.GetFilter().GetClient() == "leaving" {
		return nil
	}
	if r.GetFollow() {
		<-stream.Context().Done()
		return nil
	}
	switch r.GetFilter().GetClient() {
	case "cut":
		return nil
	case "short":
		count++
	}
	return stream.Send(&heyanv1.ListLogEntriesResponse{Checkpoint: f.log.checkpoint(), Count: count, MissingOrigins: missing})
}

func (f *fake) VerifyLog(_ context.Context, r *heyanv1.VerifyLogRequest) (*heyanv1.VerifyLogResponse, error) {
	answer := &heyanv1.VerifyLogResponse{Whole: true, Records: 3, Checkpoint: f.log.checkpoint()}
	if len(r.GetCheckpoints()) > 0 {
		answer.Whole = false
		answer.Findings = []*heyanv1.VerifyLogResponse_Finding{{Kind: "TAMPERED", File: "wal-0", Index: 2, Text: "root"}}
	}
	return answer, nil
}

func (f *fake) GetCheckpoint(context.Context, *heyanv1.GetCheckpointRequest) (*heyanv1.Checkpoint, error) {
	return f.log.checkpoint(), nil
}

func (f *fake) GetLogCoverage(context.Context, *heyanv1.GetLogCoverageRequest) (*heyanv1.LogCoverage, error) {
	return &heyanv1.LogCoverage{RequiredFrom: "2026-05-22", ShortfallDays: 2, RetentionStatement: "six calendar months",
		Gaps: []*heyanv1.LogGap{{EndIndex: 256, Reason: "PURGED"}},
		NextPurge: &heyanv1.LogCoverage_NextPurge{FirstIndex: 256, EndIndex: 512, Records: 256, KeptBy: "HELD", Hold: "court-17",
			Time: timestamppb.New(time.Date(2027, 6, 6, 16, 0, 0, 0, time.UTC))}}, nil
}
