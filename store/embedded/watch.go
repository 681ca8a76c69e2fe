package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// watchEvery is how often the directory is looked at: what happens to it is noticed within a second.
const watchEvery = 500 * time.Millisecond

// watch stops the store when its directory leads elsewhere than it led at the open. Files that are open go on taking
// writes after their directory was moved or removed; answers that rest on them would be gone with the next start.
type watch struct {
	known map[string]os.FileInfo // by path
	done  chan struct{}
	ended sync.WaitGroup
}

var errMoved = errors.New("embedded: the directory was moved, removed or replaced while the store was open")

// start remembers what is there now, and looks again and again.
func (w *watch) start(s *Store) error {
	w.known, w.done = map[string]os.FileInfo{}, make(chan struct{})
	for _, name := range []string{lockName, businessName, subjectName, registryName} {
		path := filepath.Join(s.options.Dir, name)
		if s.options.base != nil && name != lockName {
			continue // the databases are elsewhere
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		w.known[path] = info
	}
	w.ended.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-w.done:
				return
			case <-tick.C:
				if err := w.look(); err != nil {
					s.abandon(err)
					return
				}
			}
		}
	})
	return nil
}

// abandon stops the store without another write to where its directory was.
func (s *Store) abandon(cause error) {
	s.halt(cause)
	s.options.Logger.Error("the store has stopped", "cause", cause.Error())
}

// look compares once.
func (w *watch) look() error {
	for path, was := range w.known {
		if now, err := os.Stat(path); err != nil || !os.SameFile(was, now) {
			return fmt.Errorf("%w: %s", errMoved, filepath.Base(path))
		}
	}
	return nil
}

func (w *watch) stop() {
	if w.done != nil {
		close(w.done)
		w.ended.Wait()
	}
}
