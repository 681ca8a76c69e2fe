package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
)

// TestDirectoryMovedAway: a store whose directory, or a part of it, leads elsewhere takes nothing more, says why, closes
// without a write to where it was, and is whole where it lies now.
func TestDirectoryMovedAway(t *testing.T) {
	for name, part := range map[string]string{"all of it": "", "one database": subjectName, "the lock": lockName} {
		t.Run(name, func(t *testing.T) {
			o := created(t, nil)
			s := opened(t, o)
			_, err := verify(t, s, 1)
			must(t, err)
			from, to := filepath.Join(o.Dir, part), filepath.Join(t.TempDir(), "moved")
			must(t, os.Rename(from, to))
			if part == "" {
				must(t, os.MkdirAll(o.Dir, 0o700)) // something is there again
			}
			for deadline := time.Now().Add(20 * time.Second); s.Healthy() == nil; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("not noticed")
				}
			}
			var f *fault.Fault
			if err := s.Healthy(); !errors.As(err, &f) || !errors.Is(f.Cause, errMoved) {
				t.Errorf("healthy: %v", err)
			}
			if _, err := s.Begin(t.Context(), request(2)); !fault.Is(err, fault.StoreUnavailable) {
				t.Errorf("Begin: %v", err)
			}
			must(t, s.Close())
			if part == "" {
				if entries, err := os.ReadDir(o.Dir); err != nil || len(entries) > 0 {
					t.Errorf("%v was written where the store is not (%v)", entries, err)
				}
				must(t, os.Remove(o.Dir))
			}
			if part != lockName {
				must(t, os.Rename(to, from))
			}
			s = opened(t, o)
			defer s.Close()
			begun, err := s.Begin(t.Context(), request(1))
			if err != nil || begun.Replay == nil {
				t.Errorf("the answer from before is gone: %+v, %v", begun, err)
			}
		})
	}
}
