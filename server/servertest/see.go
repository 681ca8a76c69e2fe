package servertest

import (
	"context"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// Seen is what a caller saw of one call.
type Seen struct {
	Err      error
	Code     codes.Code
	Reason   string // of ErrorInfo; empty = none
	Handling string
	Domain   string
	Entry    string // trailer heyan-log-entry; empty = none
}

// See makes one call, with a deadline that no working server reaches, and says what its caller saw.
func See(call func(ctx context.Context, options ...grpc.CallOption) error) Seen {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var trailer metadata.MD
	err := call(ctx, grpc.Trailer(&trailer))
	seen := Seen{Err: err, Code: status.Code(err), Entry: strings.Join(trailer.Get(server.TrailerLogEntry), " ")}
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			seen.Reason, seen.Handling, seen.Domain = info.GetReason(), info.GetMetadata()["handling"], info.GetDomain()
		}
	}
	return seen
}

// Open reads the record that a trailer names. It fails the test where there is none.
func (s *Server) Open(entry string) record.Record {
	s.t.Helper()
	origin, index, ok := strings.Cut(entry, "/")
	at, err := strconv.ParseUint(index, 10, 64)
	if !ok || err != nil || origin != s.Log.Origin() {
		s.t.Fatalf("%q names no entry of this log", entry)
	}
	leaf, err := s.Log.Get(context.Background(), at)
	check(s.t, err)
	r, err := record.Parse(leaf)
	check(s.t, err)
	return r
}

// Calls reads the durable records from an index on that are of calls: without sessions, which open and close in
// their own time, heartbeats and totals.
func (s *Server) Calls(from uint64) []record.Record {
	s.t.Helper()
	var calls []record.Record
	for _, r := range s.Records(from) {
		switch r.Event {
		case record.SessionOpened, record.SessionClosed, record.SystemHeartbeat, record.SystemTotals:
		default:
			calls = append(calls, r)
		}
	}
	return calls
}

// Brief writes records as "event OUTCOME REASON", for comparing lists of them.
func Brief(records []record.Record) []string {
	brief := make([]string, len(records))
	for i, r := range records {
		brief[i] = strings.TrimSpace(r.Event.String() + " " + r.Outcome.Kind.String() + " " + r.Outcome.Reason)
	}
	return brief
}

// Entry prints a position as the trailer does.
func Entry(p *heyanv1.LogPosition) string {
	return p.GetOrigin() + "/" + strconv.FormatUint(p.GetIndex(), 10)
}
