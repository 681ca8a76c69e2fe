package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/heyan-project/heyan/server/api"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// begin makes ledger and log agree and writes the records of the start. Nothing is written to a log that is not the
// store's, and beside an older store than the log's only that the stop before was unclean.
func (s *Server) begin(ctx context.Context) error {
	if err := checkLog(ctx, s.log, s.Store); err != nil {
		return err
	}
	if err := Recovered(ctx, s.log, s.Recovery, s.journal); err != nil {
		return err
	}
	if err := s.admitStore(ctx); err != nil {
		return err
	}
	done, err := Reconcile(ctx, s.log, s.Store, s.journal, s.amend)
	if err != nil {
		return fmt.Errorf("comparing ledger and log: %w", err)
	}
	s.agreed.Store(done.Mark)
	if done.repairs() > 0 {
		s.logger.Warn("ledger and log made to agree", "compared", done.Compared, "voided", done.Voided, "lost", done.Lost,
			"recovered", done.Recovered, "undone", done.Undone, "settled", done.Settled, "restated", done.Restated)
	}
	if err := KeepOrigin(ctx, s.log, s.Store); err != nil {
		return fmt.Errorf("listing the log's origin: %w", err)
	}
	if _, err := s.journal.System(record.ConfigLoaded, func(r *record.Record) {
		r.Change = &record.Change{Digests: s.Digests, Diff: statedProxies(s.TrustedProxies)}
	}); err != nil {
		return err
	}
	_, err = s.journal.System(record.SystemStarted, func(r *record.Record) { r.Status = s.status() })
	return err
}

// Recovered records an unclean stop, once, before anything else is written after it: a torn tail that opening the log
// cut, or a log that does not end with system.stopped. Where it is the last record already, the start that wrote it was
// refused. Whoever opens a log to write MUST call it first.
func Recovered(ctx context.Context, log *netlog.Log, found netlog.Recovery, j *journal.Journal) error {
	size := log.Size()
	last, err := log.Get(ctx, size-1) // a log holds its own birth at least
	if err != nil {
		return fmt.Errorf("reading the last record: %w", err)
	}
	r, err := record.Parse(last)
	if err != nil {
		return fmt.Errorf("reading the last record: %w", err)
	}
	cut := found.CutBytes > 0
	if !cut && (r.Event == record.SystemStopped || r.Event == record.SystemRecovered || offline(&r)) {
		return nil
	}
	_, err = j.System(record.SystemRecovered, func(r *record.Record) {
		r.Recovery = &record.Recovery{Size: size}
		if cut {
			r.Recovery.File, r.Recovery.Offset, r.Recovery.CutBytes = filepath.Base(found.File), uint64(found.Offset), uint64(found.CutBytes)
		}
	})
	return err
}

// offline tells that a record was written while no server ran, by a first start or a refused configuration: it needs
// no stop. What came before a refusal was judged by [Recovered] when the refusal was written.
func offline(r *record.Record) bool {
	return r.Event == record.OriginBorn || r.Event == record.OperatorSet && r.Actor.Kind == record.ActorSystem || r.Event == record.ConfigRefused
}

// amend notes in the store that a record was voided, lost or recovered by a later one, for whoever lists the log. A record
// is amended once: one that was lost and is back is so in another store, which does not know that it was lost.
func (s *Server) amend(at ledger.Position, by record.Event) error {
	id := fmt.Sprintf("%s/%020d", at.Origin, at.Index)
	_, err := store.TableOf[string](s.Store, store.Amendments).Put(context.Background(), id, by.String(), 0)
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// tryAmend is amend while calls are served. The log itself says so already: a note that fails to be written is only said
// to the operator.
func (s *Server) tryAmend(at ledger.Position, by record.Event) {
	if err := s.amend(at, by); err != nil {
		s.logger.Error("noting an amendment", "log_entry", at.String(), "cause", err.Error())
	}
}

// The server's own clock: every so often the ledger's mark is raised and the log's checkpoint kept, and every minute what was counted and
// a heartbeat are written, so that silence is provably "up and idle".
const (
	markEvery  = 5 * time.Second
	flushEvery = time.Minute
)

func (s *Server) tick() {
	marks, minutes := time.NewTicker(markEvery), time.NewTicker(flushEvery)
	defer marks.Stop()
	defer minutes.Stop()
	steps := clockWatch{wall: s.now(), steady: s.Steady()}
	for {
		select {
		case <-s.stop:
			return
		case <-marks.C:
			if err := errors.Join(s.mark(context.Background()), s.clockStep(&steps)); err != nil {
				s.logger.Error("raising the ledger's mark", "cause", err.Error())
			}
		case <-minutes.C:
			if err := errors.Join(s.flush(), s.heartbeat()); err != nil {
				s.logger.Error("writing the minute's records", "cause", err.Error())
			}
		}
	}
}

// maxStep is how far the wall clock may run from a steady one between two looks before it counts as a step.
const maxStep = 2 * time.Second

// clockWatch is the wall clock and a steady one at the same moment.
type clockWatch struct{ wall, steady time.Time }

// step returns how far the wall clock was moved since the last look; 0 where it only ran.
func (c *clockWatch) step(wall, steady time.Time) time.Duration {
	moved := wall.Round(0).Sub(c.wall.Round(0)) - steady.Sub(c.steady)
	c.wall, c.steady = wall, steady
	if moved.Abs() <= maxStep {
		return 0
	}
	return moved
}

// clockStep records that the wall clock was moved.
func (s *Server) clockStep(c *clockWatch) error {
	moved := c.step(s.now(), s.Steady())
	if moved == 0 {
		return nil
	}
	s.noteStep(s.now())
	_, err := s.journal.System(record.SystemClockStepped, func(r *record.Record) {
		r.Severity = record.Warning
		r.Change = &record.Change{Diff: "moved=" + moved.Round(time.Millisecond).String()}
	})
	return err
}

// mark raises the index below which ledger and log agree, and has the store keep the log's newest checkpoint: a log
// that is cut or rolled back later is at odds with both.
func (s *Server) mark(ctx context.Context) error {
	index := s.journal.Settled(s.log.Size())
	if err := s.Store.SetMark(ctx, s.log.Origin(), index); err != nil {
		return err
	}
	s.agreed.Store(max(index, s.agreed.Load())) // one at a time: the clock's own goroutine, and then the stop
	return KeepOrigin(ctx, s.log, s.Store)
}

// status is what each record of it begins with.
func (s *Server) status() *record.Status {
	return &record.Status{Uptime: s.now().Sub(s.started), LedgerMark: s.agreed.Load()}
}

func (s *Server) flush() error {
	return errors.Join(s.strangers.Flush(), s.budgets.Flush(), s.recordTurnedAway())
}

// heartbeat writes operation status, with the mark of this moment where it can be raised.
func (s *Server) heartbeat() error {
	marked, machine := s.mark(context.Background()), s.Machine()
	found := s.lookAtSources()
	_, err := s.journal.System(record.SystemHeartbeat, func(r *record.Record) {
		if found.shared {
			r.Severity = record.Warning
			r.Security = &record.Security{Rule: oneSource, Count: uint64(found.count), Limit: manyLogins, Window: sourcesOver}
		}
		r.Status = s.status()
		r.Status.Calls, r.Status.Failures = s.calls.Swap(0), s.failed.Swap(0)
		r.Status.LoadMilli, r.Status.DiskFree, r.Status.DiskTotal = machine.LoadMilli, machine.DiskFree, machine.DiskTotal
		r.Status.Sources = s.Authorities()
	})
	return errors.Join(marked, err)
}

// watchLog tells health when the log or the store stops.
func (s *Server) watchLog() {
	select {
	case <-s.log.Stopped():
		s.logger.Error("the network log has stopped: nothing is served", "cause", fmt.Sprint(s.log.Healthy()))
		s.halted.Store(true)
		s.tellHealth()
	case <-s.Store.Stopped():
		s.logger.Error("the store has stopped: nothing is served", "cause", fmt.Sprint(s.Store.Healthy()))
		s.halted.Store(true)
		s.tellHealth()
	case <-s.stop:
	}
}

// recordSealing records that a part of the log has become a segment. One that is made while the server stops has no
// record; its manifest says the same.
func (s *Server) recordSealing(done netlog.Sealing) {
	_, err := s.journal.System(record.LogSealed, func(r *record.Record) {
		r.Object = record.Object{Type: "segment", ID: fmt.Sprintf("%d-%d", done.First, done.End)}
		r.Change = &record.Change{After: "sha256:" + done.SHA256, Diff: fmt.Sprintf("records=%d bytes=%d", done.End-done.First, done.Bytes)}
	})
	if err != nil {
		s.logger.Error("recording a sealing", "cause", err.Error())
		return
	}
	s.logger.Info("network log sealed", "first", done.First, "end", done.End, "bytes", done.Bytes, "took", done.Took.String())
}

// lockCredential locks an API key that has shown to be in wrong hands.
func (s *Server) lockCredential(ctx context.Context, id string) {
	entry, ok := s.Directory.Now().Credentials[id]
	if !ok {
		return
	}
	credential := entry.Value
	credential.State, credential.Reason = account.CredentialLocked, "used from a wrong address"
	if _, err := s.Directory.PutCredential(ctx, credential, entry.Revision); err != nil {
		s.logger.Error("locking a credential", "credential", id, "cause", err.Error())
		return
	}
	if err := s.Store.Strike(ctx, ledger.Scope{Client: credential.Client, Credential: id}, fault.CredentialLocked); err != nil {
		s.logger.Error("ending what a locked credential has under way", "credential", id, "cause", err.Error())
	}
	if _, err := s.journal.System(record.AuthLocked, func(r *record.Record) {
		r.Object = record.Object{Type: "credential", ID: id}
		r.Actor.OnBehalfOf = credential.Client
		r.Outcome = record.Outcome{Kind: record.Denied, Reason: "WRONG_ADDRESS"}
	}); err != nil {
		s.logger.Error("recording a lock", "credential", id, "cause", err.Error())
	}
}

// warnOfArchive says at a start what is wrong with closed logs. It stops nothing: reading one that is large may take a
// while, and one that is gone keeps nobody from being served.
func (s *Server) warnOfArchive(log *api.Log) {
	problems, err := log.Problems(context.Background())
	if err != nil {
		s.logger.Warn("closed logs", "cause", err.Error())
	}
	for _, problem := range problems {
		s.logger.Warn("closed log", "problem", problem)
	}
}
