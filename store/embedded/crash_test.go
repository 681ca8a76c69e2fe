package embedded

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/subject"
)

// A crash keeps everything that was flushed and any part of what was not, of each database by itself. Whatever
// was acknowledged is there, whatever is there is whole.
func TestCrashes(t *testing.T) {
	halves := 0
	for seed := range uint64(12) {
		base := vfs.NewCrashableMem()
		o := created(t, base)
		s := opened(t, o)
		rng := rand.New(rand.NewPCG(seed, 1))
		var mu sync.Mutex
		var acknowledged []int
		var next atomic.Int64
		var crashed *vfs.MemFS
		var workers sync.WaitGroup
		for range 16 {
			workers.Go(func() {
				for {
					i := int(next.Add(1))
					_, err := verify(t, s, i)
					mu.Lock()
					if err != nil {
						t.Error(err)
					}
					acknowledged = append(acknowledged, i)
					if crashed == nil && len(acknowledged) == 100+int(seed)*10 {
						crashed = base.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 60, RNG: rng})
					}
					stop := crashed != nil
					if stop {
						acknowledged = acknowledged[:100+int(seed)*10]
					}
					mu.Unlock()
					if stop {
						return
					}
				}
			})
		}
		workers.Wait()
		must(t, s.Close())

		o.base = crashed
		for range 2 { // recovery leaves nothing for a second one
			s = opened(t, o)
			checkWhole(t, s, acknowledged)
			halves += s.repaired
			must(t, s.Close())
		}
		s = opened(t, o)
		if s.repaired != 0 {
			t.Errorf("%d repairs after a clean close", s.repaired)
		}
		must(t, s.Close())
	}
	if halves == 0 {
		t.Error("no crash left a half commit, so nothing was shown")
	}
	t.Logf("%d half commits removed", halves)
}

// A mark is durable when SetMark returns, also where somebody else had raised it to there: no crash takes it back.
func TestMarkSurvivesACrash(t *testing.T) {
	base := vfs.NewCrashableMem()
	o := created(t, base)
	s := opened(t, o)
	marks := []uint64{7, 7, 9}
	var crashes []*vfs.MemFS
	for _, index := range marks {
		must(t, s.SetMark(t.Context(), origin, index))
		crashes = append(crashes, base.CrashClone(vfs.CrashCloneCfg{}))
	}
	must(t, s.Close())
	for i, crash := range crashes {
		o.base = crash
		s := opened(t, o)
		if mark, err := s.Mark(t.Context(), origin); err != nil || mark != marks[i] {
			t.Errorf("after a crash the mark is at %d, want %d: %v", mark, marks[i], err)
		}
		must(t, s.Close())
	}
}

// halfStore makes a store whose databases are of two moments: one with what act did, one without.
func halfStore(t *testing.T, without string, act func(s *Store)) *Store {
	t.Helper()
	base := vfs.NewCrashableMem()
	o := created(t, base)
	s := opened(t, o)
	_, err := verify(t, s, 1)
	must(t, err)
	before := base.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	act(s)
	after := base.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	must(t, s.Close())
	dir := after.PathJoin(o.Dir, without)
	must(t, after.RemoveAll(dir))
	_, err = vfs.Clone(before, after, dir, dir)
	must(t, err)
	o.base = after
	return opened(t, o)
}

func TestHalfCommits(t *testing.T) {
	acts := map[string]func(s *Store){
		"a commit": func(s *Store) {
			_, err := verify(t, s, 2)
			must(t, err)
		},
		"a pending commit": func(s *Store) {
			b := request(2)
			begun, err := s.Begin(t.Context(), b)
			must(t, err)
			c := answerTo(t, b, begun, 2)
			c.Verification.State = ledger.Pending
			wait, err := s.Commit(t.Context(), c)
			must(t, err)
			must(t, wait())
		},
		"a consent": func(s *Store) {
			c := answerTo(t, request(2), ledger.Begun{}, 2)
			_, err := s.CreateConsent(t.Context(), c.NewConsent, c.Evidence, c.Handles, nil)
			must(t, err)
		},
		"commits since a checkpoint": func(s *Store) {
			must(t, s.alone(s.checkpoint))
			for i := 2; i < 6; i++ {
				_, err := verify(t, s, i)
				must(t, err)
			}
			// The totals cover them, and still nobody knows that they are whole.
			must(t, s.SetMark(t.Context(), "another origin", 1))
		},
		"a withdrawn consent": func(s *Store) {
			c, err := verify(t, s, 2)
			must(t, err)
			_, err = s.WithdrawConsent(t.Context(), client, c.Verification.Consent, time.Now())
			must(t, err)
		},
	}
	for name, act := range acts {
		for _, without := range []string{subjectName, businessName} {
			t.Run(name+" without "+without, func(t *testing.T) {
				s := halfStore(t, without, act)
				defer s.Close()
				if s.repaired == 0 {
					t.Error("nothing was repaired")
				}
				if n := checkWhole(t, s, []int{1}); n != 1 {
					t.Errorf("%d verifications, want the whole one", n)
				}
				for _, letter := range []byte{rowPending, rowOldConsent} {
					if n := count(t, s.business, letter); n != 0 {
						t.Errorf("%d rows %c left", n, letter)
					}
				}
				if _, err := verify(t, s, 2); err != nil {
					t.Errorf("the request cannot be sent again: %v", err)
				}
			})
		}
	}
}

// A flush that fails stops the store: nobody gets an answer, nobody waits for ever.
func TestFailedFlush(t *testing.T) {
	var failing atomic.Bool
	base := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			return errors.New("the device is gone")
		}
		return nil
	}))
	s := opened(t, created(t, base))
	b := request(1)
	begun, err := s.Begin(t.Context(), b)
	must(t, err)
	twin := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // less than the lease
		defer cancel()
		_, err := s.Begin(ctx, request(1))
		twin <- err
	}()
	time.Sleep(20 * time.Millisecond)
	failing.Store(true)
	wait, err := s.Commit(t.Context(), answerTo(t, b, begun, 1))
	if err == nil {
		err = wait()
	}
	refused := func(what string, err error) {
		t.Helper()
		if !fault.Is(err, fault.StoreUnavailable) {
			t.Errorf("%s: %v, want STORE_UNAVAILABLE", what, err)
		}
	}
	refused("Wait", err)
	refused("the twin", <-twin)
	refused("Healthy", s.Healthy())
	_, err = s.Begin(t.Context(), request(2))
	refused("Begin", err)
	refused("Restrict", s.Restrict(t.Context(), []subject.Handle{sumOf("restriction", 1)}, 1, time.Time{}))
}
