package rpcerr_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/rpcerr"
	"github.com/heyan-project/heyan/verifier/fault"
)

// The fault table, the public enum and its comments name the same reasons with the same numbers.
func TestReasonsAreThePublicEnum(t *testing.T) {
	values := heyanv1.ErrorReason(0).Descriptor().Values()
	reasons := fault.Reasons()
	if values.Len() != len(reasons)+1 {
		t.Errorf("%d public reasons, %d in the table", values.Len()-1, len(reasons))
	}
	for _, reason := range reasons {
		public := heyanv1.ErrorReason(reason).String()
		if public != "ERROR_REASON_"+reason.String() {
			t.Errorf("reason %d is %s in the table and %s in public", reason, reason, public)
		}
	}
}

func TestEveryKindHasItsOwnCode(t *testing.T) {
	want := map[fault.Kind]codes.Code{
		fault.Invalid: codes.InvalidArgument, fault.Unauthenticated: codes.Unauthenticated, fault.Denied: codes.PermissionDenied,
		fault.Precondition: codes.FailedPrecondition, fault.Exists: codes.AlreadyExists, fault.Aborted: codes.Aborted,
		fault.Exhausted: codes.ResourceExhausted, fault.Unavailable: codes.Unavailable, fault.Deadline: codes.DeadlineExceeded,
		fault.Cancelled: codes.Canceled, fault.NotFound: codes.NotFound, fault.Unimplemented: codes.Unimplemented, fault.Internal: codes.Internal,
	}
	if len(want) != int(fault.Internal) {
		t.Fatalf("this test knows %d kinds", len(want))
	}
	seen := map[codes.Code]bool{}
	for kind := fault.Kind(1); kind <= fault.Internal; kind++ {
		got := rpcerr.Code(kind)
		if got != want[kind] || got == codes.OK || seen[got] {
			t.Errorf("kind %d has code %v, want %v", kind, got, want[kind])
		}
		seen[got] = true
	}
	for _, kind := range []fault.Kind{0, fault.Internal + 1, 255} {
		if rpcerr.Code(kind) != codes.Internal {
			t.Errorf("kind %d outside the table has code %v", kind, rpcerr.Code(kind))
		}
	}
	for _, reason := range fault.Reasons() {
		if rpcerr.Code(reason.Row().Kind) == codes.Internal && reason != fault.InternalError {
			t.Errorf("%s is of a kind without a code", reason)
		}
	}
}

// details sorts a status' details by type; each may occur once.
func details(t *testing.T, s *status.Status) map[string]proto.Message {
	t.Helper()
	found := map[string]proto.Message{}
	for _, d := range s.Details() {
		m, ok := d.(proto.Message)
		if !ok {
			t.Fatalf("a detail that cannot be read: %v", d)
		}
		name := string(m.ProtoReflect().Descriptor().Name())
		if found[name] != nil {
			t.Errorf("%s occurs twice", name)
		}
		found[name] = m
	}
	return found
}

func TestEveryReason(t *testing.T) {
	for _, reason := range fault.Reasons() {
		row := reason.Row()
		s := rpcerr.Status(fault.New(reason), "")
		if s.Code() != rpcerr.Code(row.Kind) || s.Message() != row.Name+": "+row.Cause+" "+row.Remedy {
			t.Errorf("%s: %v %q", reason, s.Code(), s.Message())
		}
		if got := rpcerr.ReasonOf(s.Err()); got != row.Name {
			t.Errorf("%s: the reason read back is %q", reason, got)
		}
		found := details(t, s)
		info := found["ErrorInfo"].(*errdetails.ErrorInfo)
		if info.GetDomain() != "heyan" || len(info.GetMetadata()) != 1 || info.GetMetadata()["handling"] != row.Handling.String() {
			t.Errorf("%s: %v", reason, info)
		}
		if l, _ := found["LocalizedMessage"].(*errdetails.LocalizedMessage); l.GetLocale() != "zh-CN" || l.GetMessage() != row.Chinese {
			t.Errorf("%s: %v", reason, l)
		}
		help, _ := found["Help"].(*errdetails.Help)
		if (help == nil) != (row.Handling == fault.RetrySameID) {
			t.Errorf("%s with handling %s: help %v", reason, row.Handling, help)
		}
		if help != nil && help.GetLinks()[0].GetUrl() != "heyan/v1/errors.proto#"+heyanv1.ErrorReason(reason).String() {
			t.Errorf("%s: help points to %q", reason, help.GetLinks()[0].GetUrl())
		}
		if len(found) > 3 {
			t.Errorf("%s: details that do not fit: %v", reason, found)
		}
	}
}

func TestDetails(t *testing.T) {
	f := fault.New(fault.QuotaExceeded).With("product", "id2").WithHint("The period ends on Monday.").
		WithField("fields.id_number", "CHECK_DIGIT").WithField("fields.name", "").WithQuota("id2/live").WithRetryAfter(1500 * time.Millisecond)
	f.More = []*fault.Fault{fault.New(fault.ConsentMissing).WithHint("another")}
	s := rpcerr.Status(f, "node1-5f3a/812")
	if !strings.HasPrefix(s.Message(), "QUOTA_EXCEEDED: ") || !strings.HasSuffix(s.Message(), " The period ends on Monday.") {
		t.Errorf("message %q", s.Message())
	}
	found := details(t, s)
	want := map[string]proto.Message{
		"ErrorInfo": &errdetails.ErrorInfo{Reason: "QUOTA_EXCEEDED", Domain: "heyan", Metadata: map[string]string{
			"handling": "ASK_OPERATOR", "product": "id2", "log_entry": "node1-5f3a/812"}},
		"BadRequest": &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "fields.id_number", Description: "CHECK_DIGIT", Reason: "CHECK_DIGIT"}, {Field: "fields.name"}}},
		"QuotaFailure": &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{
			{Subject: "id2/live", QuotaId: "id2/live", Description: fault.QuotaExceeded.Row().Cause}}},
		"RetryInfo": &errdetails.RetryInfo{},
	}
	for name, w := range want {
		if r, ok := found[name].(*errdetails.RetryInfo); ok {
			if r.GetRetryDelay().AsDuration() != 1500*time.Millisecond {
				t.Errorf("RetryInfo %v", r)
			}
		} else if found[name] == nil || !proto.Equal(found[name], w) {
			t.Errorf("%s: %v, want %v", name, found[name], w)
		}
	}
	if len(found) != 6 {
		t.Errorf("%d details: %v", len(found), found)
	}
	// The prepared parts are not touched by what was made from them.
	if info := details(t, rpcerr.Status(fault.New(fault.QuotaExceeded), ""))["ErrorInfo"].(*errdetails.ErrorInfo); len(info.GetMetadata()) != 1 {
		t.Errorf("the next one has %v", info)
	}
}

// A fault that nobody filled in must not become an OK.
func TestReasonOutsideTheTable(t *testing.T) {
	for _, reason := range []fault.Reason{0, 255} {
		if s := rpcerr.Status((&fault.Fault{Reason: reason}).WithHint("x"), ""); s.Code() != codes.Internal || rpcerr.ReasonOf(s.Err()) != "INTERNAL" {
			t.Errorf("reason %d: %v", reason, s)
		}
	}
}

// Metadata that a program set cannot replace the handling.
func TestHandlingIsTheTables(t *testing.T) {
	s := rpcerr.Status(fault.New(fault.FieldMissing).With("handling", "RETRY_SAME_ID"), "")
	if info := details(t, s)["ErrorInfo"].(*errdetails.ErrorInfo); info.GetMetadata()["handling"] != "FIX_REQUEST" {
		t.Errorf("%v", info)
	}
}

// Many clients take 8 KiB of metadata; a status in base64 and its percent-encoded message stay
// below that, whatever is wrong with a request.
func TestSizeIsBounded(t *testing.T) {
	f := fault.New(fault.FieldMalformed).WithHint(strings.Repeat("x", 200)).WithRetryAfter(time.Hour)
	for i := range 5000 {
		f.WithField(fmt.Sprintf("requests[%d].fields.license_plate_number", i), "COMPATIBILITY_CHARACTER")
	}
	s := rpcerr.Status(f, "a-node-with-a-long-name-0123456789abcdef/18446744073709551615")
	if size := proto.Size(s.Proto())*4/3 + len(s.Message())*2; size > 7<<10 {
		t.Errorf("%d bytes of metadata", size)
	}
	found := details(t, s)
	if n := len(found["BadRequest"].(*errdetails.BadRequest).GetFieldViolations()); n != rpcerr.MaxViolations {
		t.Errorf("%d violations", n)
	}
	if got := found["ErrorInfo"].(*errdetails.ErrorInfo).GetMetadata()["violations_omitted"]; got != "4968" {
		t.Errorf("omitted %q", got)
	}
}

// No text of a cause reaches a caller.
func TestCauseStaysInside(t *testing.T) {
	const secret = "张三 11010519491231002X at /var/lib/heyan"
	cause := errors.New(secret)
	for _, err := range []error{
		cause, fmt.Errorf("opening: %w", cause), status.Error(codes.DataLoss, secret), status.Error(codes.ResourceExhausted, secret),
		fault.New(fault.StoreUnavailable).WithCause(cause), errors.Join(context.Canceled, cause), fmt.Errorf("%s: %w", secret, context.DeadlineExceeded),
		fmt.Errorf("%s: %w", secret, fault.New(fault.FieldMalformed).WithField("fields.name", "EMPTY").WithCause(cause)),
	} {
		s := rpcerr.Status(rpcerr.FromError(err), "node/1")
		raw, marshalErr := proto.Marshal(s.Proto())
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		for _, part := range []string{"张三", "11010519491231002X", "/var/lib"} {
			if strings.Contains(string(raw), part) {
				t.Errorf("%v: the status holds %q", s.Code(), part)
			}
		}
	}
}

func TestFromError(t *testing.T) {
	f := fault.New(fault.ConsentExpired)
	plain := errors.New("plain")
	for _, c := range []struct {
		err  error
		want fault.Reason
	}{
		{f, fault.ConsentExpired},
		{fmt.Errorf("wrapped: %w", f), fault.ConsentExpired},
		{fault.New(fault.StoreUnavailable).WithCause(context.Canceled), fault.StoreUnavailable},
		{context.Canceled, fault.CallerCancelled},
		{fmt.Errorf("waiting: %w", context.DeadlineExceeded), fault.DeadlineReached},
		{status.Error(codes.Canceled, ""), fault.CallerCancelled},
		{status.Error(codes.Unavailable, ""), fault.CallerCancelled},
		{status.Error(codes.DeadlineExceeded, ""), fault.DeadlineReached},
		{status.Error(codes.ResourceExhausted, ""), fault.RequestTooLarge},
		{status.Error(codes.Unimplemented, ""), fault.MethodUnknown},
		{status.Error(codes.NotFound, ""), fault.ResourceNotFound},
		{status.Error(codes.InvalidArgument, ""), fault.RequestMalformed},
		{status.Error(codes.DataLoss, ""), fault.InternalError},
		{plain, fault.InternalError},
	} {
		got := rpcerr.FromError(c.err)
		if got.Reason != c.want {
			t.Errorf("%v: %s, want %s", c.err, got.Reason, c.want)
		}
		if !errors.Is(got, c.err) && !errors.Is(c.err, got) {
			t.Errorf("%v: the cause is lost for the operator", c.err)
		}
	}
	if rpcerr.FromError(nil) != nil {
		t.Error("no error is no fault")
	}
}

func TestReasonOf(t *testing.T) {
	foreign, err := status.New(codes.Internal, "").WithDetails(&errdetails.ErrorInfo{Reason: "FIELD_MISSING", Domain: "googleapis.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{nil, errors.New("plain"), status.Error(codes.Unavailable, "connection refused"), foreign.Err()} {
		if got := rpcerr.ReasonOf(err); got != "" {
			t.Errorf("%v has reason %q", err, got)
		}
	}
	if got := rpcerr.ReasonOf(fmt.Errorf("call: %w", rpcerr.Status(fault.New(fault.HoldActive), "").Err())); got != "HOLD_ACTIVE" {
		t.Errorf("wrapped: %q", got)
	}
}

func BenchmarkStatus(b *testing.B) {
	for _, c := range []struct {
		name     string
		f        *fault.Fault
		logEntry string
	}{
		{"reason", fault.New(fault.ConsentMissing), ""},
		{"violation", fault.New(fault.FieldMalformed).WithField("fields.id_number", "CHECK_DIGIT"), ""},
		{"batch", fault.New(fault.FieldMalformed).WithField("fields.id_number", "CHECK_DIGIT"), "node1-5f3a/812"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rpcerr.Status(c.f, c.logEntry)
			}
		})
	}
}
