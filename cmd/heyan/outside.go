package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/server/telemetry"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/outside"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// lastSend is how long a stop waits for the last checkpoint to leave.
const lastSend = 5 * time.Second

// openTargets prepares where a configuration sends checkpoints to. Nothing is called.
func openTargets(c *config.Config, now func() time.Time) ([]*outside.Target, error) {
	specs, err := c.Outside()
	if err != nil {
		return nil, err
	}
	return outside.Open(specs, outside.Options{Node: c.Node, Now: now})
}

// admit refuses a log that a checkpoint elsewhere contradicts, before anything of it is changed. A target that says
// nothing does not keep a service from starting; the operator is told.
func (s *state) admit(ctx context.Context) func(*netlog.Reader) error {
	return func(log *netlog.Reader) error {
		return outside.Check(ctx, s.targets, log, func(t *outside.Target, err error) {
			s.logger.Warn("the network log could not be compared with a checkpoint elsewhere", "target", t.Number, "kind", t.Kind, "cause", err.Error())
		})
	}
}

// contradicted is err, and where a log is refused for a checkpoint elsewhere, with what can be done. path is that of the
// configuration.
func contradicted(err error, path string) error {
	var refused *outside.RefusedError
	if !errors.As(err, &refused) {
		return err
	}
	return usageError(inOneLine(err), refused.Remedy()+"; or begin a new origin, whose first record names this one and the newest checkpoint known of it: heyan init --new-origin restored --config "+shellQuote(path))
}

// anchors reads what checkpoints of the log the files elsewhere hold; nil where there is no such file.
func (s *state) anchors() func(ctx context.Context, from, to uint64) ([]tree.Checkpoint, error) {
	if !slices.ContainsFunc(s.targets, func(t *outside.Target) bool { return t.Kind == outside.File }) {
		return nil
	}
	return func(ctx context.Context, from, to uint64) ([]tree.Checkpoint, error) {
		verifier, err := tree.NewVerifier(s.log.Key())
		if err != nil {
			return nil, err
		}
		return outside.Kept(ctx, s.targets, verifier, from, to)
	}
}

// sending makes what sends the log's checkpoints elsewhere. It does nothing before it is started.
func (s *state) sending() *outside.Sender {
	return outside.NewSender(outside.SenderOptions{
		Targets: s.targets, Newest: s.log.Checkpoint, Every: s.config.Log.CheckpointsEvery, Now: s.now, Logger: s.logger,
	})
}

// checkpointSeries are what is read of a sender at each scrape.
func checkpointSeries(sender *outside.Sender) (list []telemetry.CheckpointTarget) {
	for _, l := range sender.Lines {
		list = append(list, telemetry.CheckpointTarget{Number: l.Number, Kind: string(l.Kind), Sent: l.Sent, Failures: l.Failures})
	}
	return list
}

// sendLast sends the checkpoint of the stop, as far as that can be done soon.
func (i *instance) sendLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastSend)
	defer cancel()
	i.sender.Close(ctx)
}
