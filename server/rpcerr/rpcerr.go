// Package rpcerr turns a refusal into a gRPC status, and an error into a refusal. It is the only place where
// a fault becomes a code.
//
// A status holds google.rpc.ErrorInfo with domain "heyan", the reason, and metadata: "handling", the fault's
// own facts, and "log_entry" where the refusal has no trailer to stand in (an item of a batch). Where they
// fit it also holds BadRequest (names of fields and typed causes), QuotaFailure, RetryInfo and Help, and always a
// LocalizedMessage in zh-CN. The message is "REASON: cause remedy hint" in English, for people: a program
// switches on the reason, see [ReasonOf].
//
// What is guaranteed: nothing of a fault's Cause, and no text of an error that is no fault, is ever part of
// a status. What is not: that the names, facts and hints in a fault are harmless; package fault asks that of
// whoever makes one. At most [MaxViolations] violations are sent, since many clients take no more than 8 KiB
// of metadata; "violations_omitted" counts the rest.
package rpcerr

import (
	"context"
	"errors"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heyan-project/heyan/verifier/fault"
)

const (
	// Domain is the domain of every ErrorInfo.
	Domain = "heyan"
	// MaxViolations is how many violations a BadRequest holds.
	MaxViolations = 32

	// reasonDocs is where a reason is documented: the public .proto files, which every client has.
	reasonDocs = "heyan/v1/errors.proto#ERROR_REASON_"
)

// byKind is the table from kinds to codes.
var byKind = [...]codes.Code{
	fault.Invalid:         codes.InvalidArgument,
	fault.Unauthenticated: codes.Unauthenticated,
	fault.Denied:          codes.PermissionDenied,
	fault.Precondition:    codes.FailedPrecondition,
	fault.Exists:          codes.AlreadyExists,
	fault.Aborted:         codes.Aborted,
	fault.Exhausted:       codes.ResourceExhausted,
	fault.Unavailable:     codes.Unavailable,
	fault.Deadline:        codes.DeadlineExceeded,
	fault.Cancelled:       codes.Canceled,
	fault.NotFound:        codes.NotFound,
	fault.Unimplemented:   codes.Unimplemented,
	fault.Internal:        codes.Internal,
}

// byCode is what an error of grpc-go itself, or of a service that is not Heyan's (health, reflection), means.
// Any other code is INTERNAL.
var byCode = map[codes.Code]fault.Reason{
	codes.Canceled:          fault.CallerCancelled,
	codes.Unavailable:       fault.CallerCancelled, // on a server: the connection to the caller is gone
	codes.DeadlineExceeded:  fault.DeadlineReached,
	codes.ResourceExhausted: fault.RequestTooLarge, // above MaxRecvMsgSize
	codes.InvalidArgument:   fault.RequestMalformed,
	codes.NotFound:          fault.ResourceNotFound,
	codes.Unimplemented:     fault.MethodUnknown,
}

// Code returns the code of a kind. A kind outside the table is Internal.
func Code(kind fault.Kind) codes.Code {
	if kind == 0 || int(kind) >= len(byKind) {
		return codes.Internal
	}
	return byKind[kind]
}

// Status makes the status of a fault. logEntry, "origin/index", becomes part of the details; it is empty
// where the trailer heyan-log-entry carries it or there is no record. Faults in f.More are not part of it. A
// fault whose reason is not in the table is INTERNAL.
func Status(f *fault.Fault, logEntry string) *status.Status {
	if !f.Reason.Valid() { // a defect, and never an OK
		f = fault.New(fault.InternalError)
	}
	p := prepared[f.Reason]
	bare := len(f.Violations) == 0 && len(f.Metadata) == 0 && f.Hint == "" && f.RetryAfter <= 0 && f.Quota == ""
	if bare && logEntry == "" {
		return p.status
	}
	message := p.message
	if f.Hint != "" {
		message += " " + f.Hint
	}
	s := &spb.Status{Code: p.code, Message: message, Details: make([]*anypb.Any, 0, 6)}
	if len(f.Metadata) == 0 && logEntry == "" && len(f.Violations) <= MaxViolations {
		s.Details = append(s.Details, p.info)
	} else {
		s.Details = append(s.Details, pack(info(f, logEntry)))
	}
	if len(f.Violations) > 0 {
		s.Details = append(s.Details, pack(badRequest(f)))
	}
	if f.Quota != "" {
		s.Details = append(s.Details, pack(&errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{
			{Subject: f.Quota, QuotaId: f.Quota, Description: f.Reason.Row().Cause},
		}}))
	}
	if f.RetryAfter > 0 {
		s.Details = append(s.Details, pack(&errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter)}))
	}
	s.Details = append(s.Details, p.rest...)
	return status.FromProto(s)
}

func info(f *fault.Fault, logEntry string) *errdetails.ErrorInfo {
	metadata := make(map[string]string, len(f.Metadata)+3)
	for key, value := range f.Metadata {
		metadata[key] = value
	}
	metadata["handling"] = f.Reason.Row().Handling.String()
	if logEntry != "" {
		metadata["log_entry"] = logEntry
	}
	if more := len(f.Violations) - MaxViolations; more > 0 {
		metadata["violations_omitted"] = strconv.Itoa(more)
	}
	return &errdetails.ErrorInfo{Reason: f.Reason.String(), Domain: Domain, Metadata: metadata}
}

func badRequest(f *fault.Fault) *errdetails.BadRequest {
	sent := f.Violations[:min(len(f.Violations), MaxViolations)]
	violations := make([]*errdetails.BadRequest_FieldViolation, len(sent))
	for i, v := range sent {
		violations[i] = &errdetails.BadRequest_FieldViolation{Field: v.Field, Description: v.Cause, Reason: v.Cause}
	}
	return &errdetails.BadRequest{FieldViolations: violations}
}

// FromError returns err as a fault; nil stays nil. A fault in the chain is returned itself. The end of a
// context is DEADLINE_REACHED or CALLER_CANCELLED, an error of grpc-go what its code means, anything else an
// opaque INTERNAL. Apart from the first case err is the fault's cause.
func FromError(err error) *fault.Fault {
	if err == nil {
		return nil
	}
	var f *fault.Fault
	if errors.As(err, &f) {
		return f
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.DeadlineReached).WithCause(err)
	case errors.Is(err, context.Canceled):
		return fault.New(fault.CallerCancelled).WithCause(err)
	}
	if s, ok := status.FromError(err); ok {
		if reason, ok := byCode[s.Code()]; ok {
			return fault.New(reason).WithCause(err)
		}
	}
	return fault.New(fault.InternalError).WithCause(err)
}

// ReasonOf returns the reason in an error that a Heyan server answered with, e.g. "FIELD_MISSING"; empty for
// nil and for errors that no Heyan server made, such as a connection that failed.
func ReasonOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return info.GetReason()
		}
	}
	return ""
}

// parts is what can be made once for a reason. Nothing of it is ever changed; status.FromProto copies.
type parts struct {
	code    int32
	message string
	info    *anypb.Any
	rest    []*anypb.Any   // Help, LocalizedMessage
	status  *status.Status // of a fault that says nothing but its reason
}

var prepared = prepare()

func prepare() map[fault.Reason]parts {
	all := make(map[fault.Reason]parts, len(fault.Reasons()))
	for _, reason := range fault.Reasons() {
		row := reason.Row()
		p := parts{
			code:    int32(Code(row.Kind)),
			message: row.Name + ": " + row.Cause + " " + row.Remedy,
			info:    pack(info(fault.New(reason), "")),
		}
		// Whoever only has to send the same bytes again needs no documentation.
		if row.Handling != fault.RetrySameID {
			p.rest = append(p.rest, pack(&errdetails.Help{Links: []*errdetails.Help_Link{
				{Description: row.Remedy, Url: reasonDocs + row.Name},
			}}))
		}
		p.rest = append(p.rest, pack(&errdetails.LocalizedMessage{Locale: "zh-CN", Message: row.Chinese}))
		p.status = status.FromProto(&spb.Status{Code: p.code, Message: p.message, Details: append([]*anypb.Any{p.info}, p.rest...)})
		all[reason] = p
	}
	return all
}

// pack cannot fail for the messages used here but through a string that is not UTF-8, which no fault of
// Heyan's own making holds; the detail is then sent empty rather than the refusal lost.
func pack(m proto.Message) *anypb.Any {
	value, err := proto.Marshal(m)
	if err != nil {
		value = nil
	}
	return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName()), Value: value}
}
