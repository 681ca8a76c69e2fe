package main

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/jsonl"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// verifyLines answers VerifyRequests in proto JSON, a line each. Lines go to Verify and not to BatchVerify: an answer
// then leaves as soon as it is there, and each line has a deadline of its own.
func (a *app) verifyLines(ctx context.Context, workers int) error {
	if workers < 1 || workers > 256 {
		return usageError("--concurrency wants a number from 1 to 256", "")
	}
	return a.withStream(ctx, func(ctx context.Context, conn *dial.Connection) error {
		client := heyanv1.NewVerificationServiceClient(conn)
		var silent atomic.Int64
		err := jsonl.Each(ctx, a.In, a.Out, workers, func(ctx context.Context, line []byte, err error) []byte {
			answer, answered := a.verifyLine(ctx, client, line, err)
			if !answered {
				silent.Add(1)
			}
			return answer
		})
		if err != nil {
			return err
		}
		if n := silent.Load(); n > 0 {
			return &exitError{exitUnreachable, countOf(int(n), "line") + " without an answer of the server",
				"send those lines again, with the same request_id"}
		}
		return nil
	})
}

// verifyLine answers one line. answered is false where the server gave no answer.
func (a *app) verifyLine(ctx context.Context, client heyanv1.VerificationServiceClient, line []byte, err error) (answer []byte, answered bool) {
	if err != nil {
		return errorLine(refusal{Code: codeName(codes.InvalidArgument), Reason: "REQUEST_TOO_LARGE", Handling: "FIX_REQUEST"}), true
	}
	request := &heyanv1.VerifyRequest{}
	if protojson.Unmarshal(line, request) != nil {
		return errorLine(malformed(line)), true
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	response, err := client.Verify(ctx, request)
	if err != nil {
		r := lineRefusal(err, request)
		return errorLine(r), r.answered()
	}
	raw, err := output.Marshal(response)
	if err != nil {
		return errorLine(refusal{Code: codeName(codes.Internal)}), true
	}
	return raw, true
}

// malformed says what a line is that is no VerifyRequest: one with members or enum names beyond the API, refused as a
// server refuses unknown numbers, or none at all.
func malformed(line []byte) refusal {
	reason := "REQUEST_MALFORMED"
	if (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(line, &heyanv1.VerifyRequest{}) == nil {
		reason = "FIELD_OUTSIDE_CEILING"
	}
	return refusal{Code: codeName(codes.InvalidArgument), Reason: reason, Handling: "FIX_REQUEST"}
}

func lineRefusal(err error, request *heyanv1.VerifyRequest) refusal {
	return refusalOf(status.Convert(err), callEntry(err)).scrub(valuesOf(request.GetFields()))
}

// errorLine is {"error":{…}}.
func errorLine(r refusal) []byte {
	raw, err := json.Marshal(map[string]refusal{"error": r})
	if err != nil {
		panic("heyan: " + err.Error()) // strings always marshal
	}
	return raw
}
