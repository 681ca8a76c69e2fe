package outside

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// complainEvery is how often the operator is told that a target still fails.
const complainEvery = time.Hour

// SenderOptions is what a [Sender] is made of; all is required.
type SenderOptions struct {
	Targets []*Target
	// Newest returns the newest signed checkpoint of durable records, nil for none.
	Newest func() []byte
	Every  time.Duration
	Now    func() time.Time
	Logger *slog.Logger
}

// Sender sends the newest checkpoint to every target: at once, then every so often where it is another one, and at the
// end. A target that fails is tried again after a second, two, four and so on, but not less often than Every; what is
// sent then is what is newest then.
type Sender struct {
	o       SenderOptions
	Lines   []*Line
	stop    chan struct{}
	last    context.Context // of the last attempt; set before stop is closed
	wait    sync.WaitGroup
	closing sync.Once
}

// Line is the way to one target.
type Line struct {
	*Target
	sent     atomic.Int64 // UnixNano; 0 = never
	failures atomic.Uint64

	// The goroutine's own.
	newest  []byte        // that arrived
	failing time.Duration // the pause after the next failure; 0 = the last attempt did not fail
	said    time.Time     // when the operator was told last
}

// Sent returns when a checkpoint arrived last; the zero time = none has since the start.
func (l *Line) Sent() time.Time {
	if at := l.sent.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Failures returns how many attempts have failed.
func (l *Line) Failures() uint64 { return l.failures.Load() }

// NewSender returns a sender that does nothing before [Sender.Start].
func NewSender(o SenderOptions) *Sender {
	s := &Sender{o: o, stop: make(chan struct{}), last: context.Background()}
	for _, t := range o.Targets {
		s.Lines = append(s.Lines, &Line{Target: t})
	}
	return s
}

// Start begins to send. It is called once at most.
func (s *Sender) Start() {
	for _, l := range s.Lines {
		s.wait.Go(func() { s.run(l) })
	}
}

// Close sends what is newest, and ends. It waits until ctx ends at most; only the first call does anything.
func (s *Sender) Close(ctx context.Context) {
	s.closing.Do(func() {
		s.last = ctx
		close(s.stop)
		ended := make(chan struct{})
		go func() {
			s.wait.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-ctx.Done(): // a file system that hangs keeps its goroutine
		}
	})
}

func (s *Sender) run(l *Line) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			l.said = time.Time{} // the last chance: a failure is told
			s.attempt(s.last, l)
			return
		case <-timer.C:
			timer.Reset(s.attempt(context.Background(), l))
		}
	}
}

// attempt sends what is newest, unless it is there, and returns how long to pause.
func (s *Sender) attempt(ctx context.Context, l *Line) time.Duration {
	note := s.o.Newest()
	if len(note) == 0 || bytes.Equal(note, l.newest) {
		return s.o.Every
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	if err := l.send(ctx, note); err != nil {
		return s.failed(l, err)
	}
	l.newest = note
	l.sent.Store(s.o.Now().UnixNano())
	if l.failing > 0 {
		s.o.Logger.Info("checkpoints arrive again", "target", l.Number, "kind", l.Kind, "failures", l.Failures())
	}
	l.failing, l.said = 0, time.Time{}
	return s.o.Every
}

func (s *Sender) failed(l *Line, err error) time.Duration {
	l.failures.Add(1)
	if now := s.o.Now(); l.said.IsZero() || now.Sub(l.said) >= complainEvery {
		l.said = now
		s.o.Logger.Warn("a checkpoint could not be sent: it is tried again", "target", l.Number, "kind", l.Kind, "failures", l.Failures(), "cause", err.Error())
	}
	pause := min(max(l.failing, time.Second), s.o.Every)
	l.failing = min(2*pause, s.o.Every)
	return pause
}
