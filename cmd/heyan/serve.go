package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/server/telemetry"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
)

func serveCommand(a *app) *cobra.Command {
	var path string
	var development bool
	var accept uint64
	dev := developmentServer{listen: "127.0.0.1:9443", statusListen: "127.0.0.1:9090", people: 1000}
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Runs the server of a configuration until it is interrupted, then drains it: no call in flight is lost.

With --dev it runs one for development: loopback only, everything under ./heyan-data, certificates made on the spot, a
profile for each role, a client with every product, invented people to verify against, and server reflection. It prints
commands to paste. Never use it for real people.

A store that was put back from before what the network log says of it is refused: answers that clients have would be
missing. --accept-older-store, with the number that the refusal names, goes on all the same. The choice and each answer
that is gone are recorded, as store.rollback_accepted and verification.lost. What else was done since is gone unrecorded:
withdrawals, deletions, restrictions, revocations, quota. The number is good for that one start; left in a unit file it
does nothing.`,
		Example: `  heyan serve --config /etc/heyan/heyan.yaml
  heyan serve --dev`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if development {
				dev.acceptOlderStore = accept
				return dev.run(cmd.Context(), a)
			}
			return a.serve(cmd.Context(), path, accept)
		},
	}
	c.Flags().StringVar(&path, "config", "heyan.yaml", "configuration file")
	c.Flags().Uint64Var(&accept, "accept-older-store", 0, "go on with a store that is older than its network log; the number is that of the refusal")
	c.Flags().BoolVar(&development, "dev", false, "a development server on loopback, under ./heyan-data")
	c.Flags().StringVar(&dev.listen, "dev-listen", dev.listen, "with --dev: address for gRPC, on loopback")
	c.Flags().StringVar(&dev.statusListen, "dev-status-listen", dev.statusListen, "with --dev: address for metrics, on loopback")
	c.Flags().IntVar(&dev.people, "dev-people", dev.people, "with --dev: how many invented people")
	c.MarkFlagsMutuallyExclusive("dev", "config")
	return c
}

// serve runs the server of a configuration until ctx ends.
func (a *app) serve(ctx context.Context, path string, acceptOlderStore uint64) error {
	logger := telemetry.Logger(a.Err, new(slog.LevelVar))
	c, err := config.Load(path)
	if err != nil {
		a.refusedConfig(path, refusedMember(err))
		return usageError(inOneLine(err), "heyan config check "+path+" lists everything that is wrong")
	}
	applyRuntime(c.Runtime)
	if err := harden(); err != nil {
		return fmt.Errorf("refusing core dumps: %w", err)
	}
	s, err := openState(ctx, c, false, logger)
	if err != nil {
		if member := refusedKey(c, err); member != "" {
			a.refusedConfig(path, member)
		}
		return contradicted(err, path)
	}
	opened := s.log.Size()
	s.acceptOlderStore = acceptOlderStore
	i, err := startInstance(ctx, s, a.Env)
	if err != nil {
		err = errors.Join(err, s.close())
		if member := refusedKey(c, err); member != "" {
			a.refusedConfig(path, member)
		}
		return olderStore(err, "heyan serve --config "+shellQuote(path))
	}
	i.lookBack(ctx, logger, opened)
	i.announce(logger)
	return i.until(ctx, logger)
}

// olderStore is err, and where a store is refused that is older than its log, with what can be done. command is how the
// server was started.
func olderStore(err error, command string) error {
	var older *server.OlderStoreError
	if !errors.As(err, &older) {
		return err
	}
	return usageError(inOneLine(err), fmt.Sprintf("put the newest data/store back; or go on without what it lacks: %s --accept-older-store %d", command, older.Log))
}

// lookBack warns where the stop before was not clean: then the first record of this start says so.
func (i *instance) lookBack(ctx context.Context, logger *slog.Logger, opened uint64) {
	leaf, err := i.log.Get(ctx, opened)
	if err != nil {
		return // the log itself says what is wrong with it
	}
	if r, err := record.Parse(leaf); err == nil && r.Event == record.SystemRecovered {
		logger.Warn("the last stop was not clean: killed, crashed or without power", "records_found", opened, "log_entry", fmt.Sprintf("%s/%d", i.log.Origin(), opened))
	}
}

// announce says what was started, with what.
func (i *instance) announce(logger *slog.Logger) {
	logger.Info("serving", "address", i.address(), "status", i.statusAt.Addr().String(), "origin", i.log.Origin(), "log_key", i.log.Key(),
		"records", i.log.Size(), "suite", i.keys.Suite(), "region", i.config.Region, "production", i.config.Production,
		"gc_percent", i.config.Runtime.GCPercent, "memory_limit", debug.SetMemoryLimit(-1), "stream_workers", i.config.Runtime.StreamWorkers)
	if i.config.Production && len(i.targets) == 0 {
		logger.Warn("no checkpoint leaves this machine: that log and store are rewritten, or put back together, cannot be noticed here", "configure", "log.checkpoints_to")
	}
	if i.recovery.CutBytes > 0 {
		logger.Warn("a torn tail was cut from the network log", "file", filepath.Base(i.recovery.File), "offset", i.recovery.Offset, "bytes", i.recovery.CutBytes)
	}
}

// until serves until ctx ends or the listener fails, then stops, and says why and when.
func (i *instance) until(ctx context.Context, logger *slog.Logger) error {
	select {
	case <-ctx.Done():
		logger.Info("stopping", "cause", context.Cause(ctx).Error())
	case err := <-i.served:
		i.served <- err
		logger.Error("stopping", "cause", "the listener failed")
	}
	if err := i.stop(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	logger.Info("stopped")
	return nil
}

// refusedKey returns the member of the configuration whose key file was refused, empty where err is something else.
func refusedKey(c *config.Config, err error) string {
	if !errors.Is(err, keyfile.ErrReadable) && !errors.Is(err, keyfile.ErrFolder) && !errors.Is(err, keyfile.ErrKind) && !errors.Is(err, keyfile.ErrFormat) {
		return ""
	}
	for member, path := range map[string]string{
		"keys.digest": c.Keys.Digest, "keys.subject": c.Keys.Subject, "keys.business": c.Keys.Business,
		"keys.registry": c.Keys.Registry, "keys.log_seal": c.Keys.LogSeal, "keys.log_sign": c.Keys.LogSign,
		"tls.key": c.TLS.Key,
	} {
		if strings.HasPrefix(err.Error(), path+": ") {
			return member
		}
	}
	return "keys"
}

// refusedMember returns the member for which a configuration was refused, where the log says more of it than that; else it
// is empty.
func refusedMember(err error) string {
	var wrong *config.Errors
	if errors.As(err, &wrong) && slices.ContainsFunc(wrong.Lines(), func(line string) bool {
		return strings.HasPrefix(line, config.RetentionMember+": "+fault.RetentionBelowFloor.String())
	}) {
		return config.RetentionMember
	}
	return ""
}

// refusedConfig puts the refusal of a configuration into the network log, where there is one that opens: an
// attempt to set what is not allowed is an event that counts. member is what was refused, where that is known.
func (a *app) refusedConfig(path, member string) {
	c, err := config.LoadUnchecked(path)
	if err != nil {
		return
	}
	ctx := context.Background()
	s := &state{config: c, logger: slog.New(slog.NewTextHandler(io.Discard, nil)), now: a.Now}
	s.targets, _ = openTargets(c, a.Now) // they may be what was refused
	if s.openLog(ctx, false) != nil {
		return
	}
	defer func() { _ = s.close() }()
	j := s.offlineJournal()
	if err := server.Recovered(ctx, s.log, s.recovery, j); err != nil {
		a.note("the unclean stop before could not be written to the network log: %v", err)
		return
	}
	_, err = j.System(record.ConfigRefused, func(r *record.Record) {
		r.Outcome = record.Outcome{Kind: record.Denied, Reason: "CONFIG_REFUSED"}
		if member == config.RetentionMember {
			r.Outcome.Reason = fault.RetentionBelowFloor.String()
		}
		if member != "" {
			r.Change = &record.Change{Diff: "refused=" + member}
		}
	})
	if err != nil {
		a.note("the refusal could not be written to the network log: %v", err)
	}
}

// developmentServer is `heyan serve --dev`.
type developmentServer struct {
	listen, statusListen string
	people               int
	acceptOlderStore     uint64
}

func (d *developmentServer) run(ctx context.Context, a *app) error {
	for _, address := range []string{d.listen, d.statusListen} {
		if !profile.Loopback(address) {
			return usageError("--dev listens on loopback only", "for anything else run heyan init, then heyan serve")
		}
	}
	home := profile.DevDir
	fresh, err := d.lay(ctx, a, home)
	if err != nil {
		return err
	}
	c, err := config.Load(filepath.Join(home, "heyan.yaml"))
	if err != nil {
		return err
	}
	c.Listen, c.StatusListen = d.listen, d.statusListen
	if err := harden(); err != nil {
		return err
	}
	applyRuntime(c.Runtime)
	logger := slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := openState(ctx, c, false, logger)
	if err != nil {
		return contradicted(err, filepath.Join(home, "heyan.yaml"))
	}
	opened := s.log.Size()
	s.acceptOlderStore = d.acceptOlderStore
	i, err := startInstance(ctx, s, a.Env)
	if err != nil {
		err = olderStore(errors.Join(err, s.close()), "heyan serve --dev")
		if errors.Is(err, syscall.EADDRINUSE) {
			return usageError(err.Error(), "choose other ports: heyan serve --dev --dev-listen 127.0.0.1:19443 --dev-status-listen 127.0.0.1:19090")
		}
		return err
	}
	if fresh {
		err = d.furnish(ctx, a, home, i.address())
	} else {
		err = readdress(home, i.address())
	}
	if err != nil {
		return errors.Join(err, i.stop(context.WithoutCancel(ctx)))
	}
	i.lookBack(ctx, logger, opened)
	d.explain(a, i, home)
	return i.until(ctx, slog.New(slog.NewTextHandler(a.Err, nil)))
}
