package main

import (
	"context"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// demoSilence is how long the demo's server waits for a caller's next message: the two minutes of any other server would
// be too long to watch.
const demoSilence = 3 * time.Second

// endlessCall is a call whose caller never comes to an end.
type endlessCall struct {
	what, want string
	as         profile.Profile
	method     string
	next       proto.Message // sent again and again; nil = nothing is sent

	step chan step // what became of it
}

// endless lets callers loose who never come to an end, each on a connection of its own. They run beside the other steps,
// so that nobody waits for them.
func (d *demo) endless(ctx context.Context) error {
	ca := filepath.Join(d.home, "certs", "ca.pem")
	d.calls = []*endlessCall{
		{what: "a stranger sends without end", want: "CREDENTIAL_MISSING", as: profile.Profile{Address: d.address, CAFile: ca},
			method: heyanv1.VerificationService_BatchVerify_FullMethodName, next: &heyanv1.BatchVerifyRequest{}},
		{what: "a client sends without end where it may not", want: "ROLE_REQUIRED", as: apiKeyProfile(d.home, d.address),
			method: heyanv1.AdminService_ImportRecords_FullMethodName, next: &heyanv1.ImportRecordsRequest{}},
		{what: "an import on which nothing comes", want: "DEADLINE_REACHED", as: certificateProfile(d.home, d.address, devSystem),
			method: heyanv1.AdminService_ImportRecords_FullMethodName},
		{what: "a batch that is announced and never comes", want: "Canceled", as: apiKeyProfile(d.home, d.address),
			method: heyanv1.VerificationService_BatchVerify_FullMethodName},
	}
	for _, c := range d.calls {
		conn, err := dial.Open(profile.Layer{Profile: c.as}, buildVersion())
		if err != nil {
			return err
		}
		c.step = make(chan step, 1)
		go func() {
			defer conn.Close()
			c.step <- c.run(ctx, conn)
		}()
	}
	return nil
}

// ended adds what became of them.
func (d *demo) ended(context.Context) error {
	for _, c := range d.calls {
		d.steps = append(d.steps, <-c.step)
	}
	return nil
}

// run calls until the server ends it; one that it does not end is given up.
func (c *endlessCall) run(ctx context.Context, conn *dial.Connection) step {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(20*time.Second, cancel).Stop()
	s := step{group: "endless", what: c.what, want: c.want, got: "not ended"}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, c.method)
	for err == nil && c.next != nil {
		err = stream.SendMsg(c.next)
	}
	if stream != nil {
		err = stream.RecvMsg(&heyanv1.BatchVerifyResponse{})
	}
	if ctx.Err() == nil {
		if s.got, _ = reasonAndFact(err, ""); s.got == "" {
			s.got = status.Code(err).String()
		}
		s.entry = conn.LogEntry()
	}
	s.ok = s.got == s.want
	return s
}
