package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/space"
	"github.com/heyan-project/heyan/verifier/fault"
)

// Room for the log. At the high mark there is an alarm: a record, a line in the operator's log, a metric. Below the floor
// whoever calls is turned away before anything of the call is recorded, and health says NOT_SERVING. Still answered are
// health, and to those who may read the log its own service, so that it can be exported and room be made: their records go
// where the log has kept room (netlog.Options.Reserve), and so do the words of the server itself: marks, heartbeats, sums
// of who was turned away, the stop. When there is a tenth more room than the floor asks for, calls are served again.

// spaceEvery is how often the room is asked for.
const spaceEvery = time.Second

// room is what a server knows of the room for its log.
type room struct {
	telling sync.Mutex // health is told by one at a time
	lost    sparing    // an unknown room is said now and then

	mu    sync.Mutex
	tally record.Tally // calls that were turned away and are not on record yet
}

var errNoRoom = errors.New("the disk has less room than log.space.floor asks for")

// unwatched is the room of a server that nobody told where to look: enough.
func unwatched() *space.Watch {
	return space.New(func() (uint64, uint64, error) { return 0, 0, nil }, space.Mark{}, space.Mark{})
}

func (s *Server) watchSpace() {
	tick := time.NewTicker(spaceEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			s.lookAtSpace()
		}
	}
}

// lookAtSpace asks for the room once, and says what changed.
func (s *Server) lookAtSpace() {
	changes, err := s.Space.Look(s.Steady())
	if err != nil && s.room.lost.allow("room", s.now()) {
		s.logger.Error("looking at the disk", "cause", err.Error())
	}
	if len(changes) == 0 {
		return
	}
	s.strangers.Narrow(s.Space.Full())
	s.tellHealth()
	for _, c := range changes {
		s.recordMark(c, s.Space.Read())
		if c.Reached && c.Mark == space.Floor {
			s.background.Go(s.sealNow)
		}
	}
	if err := s.recordTurnedAway(); err != nil {
		s.logger.Error("recording calls that were turned away", "cause", err.Error())
	}
}

// sealNow makes segments of what is written so far, a quarter of its size: it makes room where nothing else does.
func (s *Server) sealNow() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := s.log.Seal(ctx); err != nil && ctx.Err() == nil {
		s.logger.Error("sealing the network log to make room", "cause", err.Error())
	}
}

// recordMark says that a water mark was reached or cleared.
func (s *Server) recordMark(c space.Change, now space.Reading) {
	event, say := record.DiskWatermarkCleared, s.logger.Info
	text := "the disk has room again"
	if c.Reached {
		event, say, text = record.DiskWatermarkReached, s.logger.Warn, "the disk is nearly full"
		if c.Mark == space.Floor {
			say, text = s.logger.Error, "the disk is full: nothing is served but health and the network log"
		}
	}
	say(text, "mark", c.Mark, "free", now.Free, "wanted", c.Wanted, "total", now.Total)
	_, err := s.journal.System(event, func(r *record.Record) {
		r.Object = record.Object{Type: "watermark", ID: c.Mark}
		r.Status = s.status()
		r.Status.DiskFree, r.Status.DiskTotal = now.Free, now.Total
		r.Change = &record.Change{Diff: fmt.Sprintf("free=%d wanted=%d", now.Free, c.Wanted)}
		if c.Reached && c.Mark == space.Floor {
			r.Severity = record.Critical
		}
	})
	if err != nil {
		s.logger.Error("recording a water mark", "mark", c.Mark, "cause", err.Error())
	}
}

// noRoom tells whether a call is turned away because there is no room for its record.
func (s *Server) noRoom(r rule, p *authn.Principal) bool {
	return !r.quiet && s.Space.Full() && !(r.spare && p.Kind == authn.Operator && p.Roles.Any(r.roles) && s.lastWords())
}

// wordsRoom is what is kept for the server's own words while the disk is full, some 400 bytes a minute: not even those who
// read the log may use it.
const wordsRoom = 4 << 20

// lastWords tells whether there is more room in the log than the server's own words need. Where the log takes no room
// ahead that is not known, and the floor has to do.
func (s *Server) lastWords() bool {
	left, known := s.log.Room()
	return !known || left > wordsRoom
}

// turnedAway counts a call that was turned away, and is its refusal.
func (s *Server) turnedAway() *fault.Fault {
	now := s.now()
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.room.tally.Count == 0 {
		s.room.tally.First = now
	}
	s.room.tally.Count++
	s.room.tally.Last = now
	return fault.New(fault.LogUnavailable).WithCause(errNoRoom).WithRetryAfter(30 * time.Second)
}

// recordTurnedAway writes one record of all calls that were turned away since the last one.
func (s *Server) recordTurnedAway() error {
	s.room.mu.Lock()
	tally := s.room.tally
	s.room.tally = record.Tally{}
	s.room.mu.Unlock()
	if tally.Count == 0 {
		return nil
	}
	why := fault.New(fault.LogUnavailable)
	_, err := s.journal.System(record.RefusalBulk, func(r *record.Record) {
		r.Outcome = record.Outcome{Kind: record.Failed, Code: codeOf(why), Reason: why.Reason.String()}
		r.Tally = &tally
	})
	if err == nil {
		return nil
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.room.tally.Count += tally.Count
	s.room.tally.First = tally.First
	if s.room.tally.Last.IsZero() {
		s.room.tally.Last = tally.Last
	}
	return err
}

// tellHealth sets the health of the server and of each service to what is so now.
func (s *Server) tellHealth() {
	s.room.telling.Lock()
	defer s.room.telling.Unlock()
	set := func(name string, serving bool) {
		status := healthv1.HealthCheckResponse_NOT_SERVING
		if serving {
			status = healthv1.HealthCheckResponse_SERVING
		}
		s.health.SetServingStatus(name, status)
	}
	halted, full := s.halted.Load(), s.Space.Full()
	set("", !halted && !full)
	for name := range s.grpc.GetServiceInfo() {
		answers := name == heyanv1.LogService_ServiceDesc.ServiceName || name == healthv1.Health_ServiceDesc.ServiceName
		set(name, !halted && (!full || answers))
	}
}
