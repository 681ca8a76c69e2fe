package embedded

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// killedDir and killedFrom tell a child process what to do: commit in a directory, from a request on.
const (
	killedDir  = "HEYAN_TEST_KILLED_DIR"
	killedFrom = "HEYAN_TEST_KILLED_FROM"
)

// TestKilled runs itself as a process of its own, which prints each request once it is acknowledged, kills that
// without notice, and opens what is left.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killedDir); dir != "" {
		commitUntilKilled(t, dir)
		return
	}
	dir := t.TempDir()
	must(t, Create(options(dir, nil)))
	var acknowledged []int
	for round := range 4 {
		child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		child.Env = append(os.Environ(), killedDir+"="+dir, killedFrom+"="+strconv.Itoa(1_000_000*round))
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		lines := bufio.NewScanner(out)
		for n := 0; n < 300 && lines.Scan(); n++ {
			if i, found := strings.CutPrefix(lines.Text(), "acknowledged "); found {
				number, err := strconv.Atoi(i)
				must(t, err)
				acknowledged = append(acknowledged, number)
			}
		}
		must(t, child.Process.Kill())
		for lines.Scan() { // what it still said is acknowledged too
			if i, found := strings.CutPrefix(lines.Text(), "acknowledged "); found {
				if number, err := strconv.Atoi(i); err == nil {
					acknowledged = append(acknowledged, number)
				}
			}
		}
		_ = child.Wait() // it was killed
		s := opened(t, options(dir, nil))
		n := checkWhole(t, s, acknowledged)
		t.Logf("%d acknowledged, %d in the ledger, %d half", len(acknowledged), n, s.repaired)
		must(t, s.Close())
	}
	if len(acknowledged) < 1000 {
		t.Errorf("only %d requests were acknowledged", len(acknowledged))
	}
}

func commitUntilKilled(t *testing.T, dir string) {
	s := opened(t, options(dir, nil))
	from, err := strconv.Atoi(os.Getenv(killedFrom))
	must(t, err)
	next := new(atomic.Int64)
	next.Store(int64(from))
	var printing sync.Mutex
	var workers sync.WaitGroup
	for range 32 {
		workers.Go(func() {
			for {
				i := int(next.Add(1))
				if _, err := verify(t, s, i); err != nil {
					t.Error(err)
					return
				}
				printing.Lock()
				fmt.Printf("acknowledged %d\n", i)
				printing.Unlock()
			}
		})
	}
	workers.Wait()
}
