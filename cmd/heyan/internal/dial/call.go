package dial

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// LogEntryKey is the trailer that names a call's record in the network log.
const LogEntryKey = "heyan-log-entry"

// CallError is a call that was refused or failed.
type CallError struct {
	Status   *status.Status
	LogEntry string // origin/index; "" where the server told none
}

// Error implements error with the code only: the message is the server's.
func (e *CallError) Error() string { return "rpc: " + e.Status.Code().String() }

// GRPCStatus makes [status.FromError] see the status.
func (e *CallError) GRPCStatus() *status.Status { return e.Status }

// entries remembers the log entry of the newest call.
type entries struct{ newest atomic.Pointer[string] }

func (e *entries) last() string {
	if entry := e.newest.Load(); entry != nil {
		return *entry
	}
	return ""
}

func (e *entries) record(trailer metadata.MD) string {
	entry := ""
	if values := trailer.Get(LogEntryKey); len(values) > 0 {
		entry = values[0]
	}
	e.newest.Store(&entry)
	return entry
}

func (e *entries) wrap(err error, trailer metadata.MD) error {
	entry := e.record(trailer)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &CallError{Status: status.Convert(err), LogEntry: entry}
}

func (e *entries) unary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	var trailer metadata.MD
	err := invoke(ctx, method, request, reply, conn, append(options, grpc.Trailer(&trailer))...)
	return e.wrap(err, trailer)
}

func (e *entries) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	inner, err := open(ctx, desc, conn, method, options...)
	if err != nil {
		return nil, e.wrap(err, nil)
	}
	return &stream{ClientStream: inner, entries: e, answersOnce: !desc.ServerStreams}, nil
}

// stream adds the trailer to the error that ends a stream.
type stream struct {
	grpc.ClientStream
	entries     *entries
	answersOnce bool
}

// RecvMsg implements [grpc.ClientStream].
func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil && !s.answersOnce {
		return nil
	}
	return s.entries.wrap(err, s.Trailer())
}
