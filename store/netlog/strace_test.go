//go:build strace && linux

package netlog

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var nth = flag.Int("nth", 12, "with the tag strace: up to which call of a kind a fault is put in")

// TestSyscallFaults runs a process that appends, seals and closes, with one system call after another failing, or killing
// it: whatever it had acknowledged is there at the next start, the log verifies, and a file whose write or flush failed is
// never flushed again. It needs strace, and so a tag; deploy/ci/faults.sh runs it.
func TestSyscallFaults(t *testing.T) {
	faults := []string{"error=EIO", "signal=KILL"}
	injected := 0
	for call, errs := range map[string][]string{
		"fdatasync": faults,
		"fsync":     faults,
		"pwrite64":  append([]string{"error=ENOSPC"}, faults...),
		"fallocate": append([]string{"error=ENOSPC", "error=EOPNOTSUPP"}, faults...),
		"renameat":  faults,
		"unlinkat":  faults,
		"ftruncate": faults,
	} {
		for _, fault := range errs {
			t.Run(call+"/"+fault, func(t *testing.T) {
				for n := 1; n <= *nth; n++ {
					if !faulty(t, call, fault, n) {
						break // it makes no more such calls
					}
					injected++
				}
			})
		}
	}
	t.Logf("%d faults", injected)
	if injected < min(15**nth/2, 250) { // of some calls there are few
		t.Errorf("only %d faults", injected)
	}
}

// faulty runs one process with a fault in the n-th call, and tells whether there was one.
func faulty(t *testing.T, call, fault string, n int) (injected bool) {
	t.Helper()
	dir := t.TempDir()
	opt := options(filepath.Join(dir, "log"))
	closeLog(t, create(t, opt))
	trace := filepath.Join(dir, "trace")
	what := fmt.Sprintf("%s:%s:when=%d", call, fault, n)
	cmd := exec.Command("strace", "-f", "-qq", "-y", "-o", trace, "-e", "trace=fdatasync,fsync,pwrite64,fallocate,renameat,unlinkat,ftruncate",
		"-e", "inject="+what, os.Args[0])
	cmd.Env = append(os.Environ(), "NETLOG_TEST_CHILD=some", "NETLOG_TEST_DIR="+opt.Dir)
	out, err := cmd.Output()
	if out == nil && err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	highest := uint64(0)
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var index uint64
		if _, err := fmt.Sscan(lines.Text(), &index); err == nil {
			highest = max(highest, index)
		}
	}
	calls, err := os.ReadFile(trace)
	must(t, err)
	injected = bytes.Contains(calls, []byte("(INJECTED)")) || bytes.Contains(calls, []byte("killed by SIGKILL"))
	neverAgain(t, what, string(calls))
	l, rec, err := Open(opt)
	if err != nil {
		t.Fatalf("%s: the next start is refused: %v", what, err)
	}
	defer l.Close()
	if rec.Size <= highest {
		t.Errorf("%s: %d was acknowledged, %d records are left", what, highest, rec.Size)
	}
	if report, err := l.Verify(t.Context()); err != nil || !report.Whole() || report.Verified != rec.Size {
		t.Errorf("%s: %v\n%v", what, err, report)
	}
	return injected
}

var traced = regexp.MustCompile(`(fdatasync|fsync|pwrite64)\(\d+<([^>]+)>`)

// neverAgain fails when a file is written or flushed after its write or flush failed. A new file may have its name, when
// the old one was removed meanwhile.
func neverAgain(t *testing.T, what, calls string) {
	t.Helper()
	failed := ""
	for _, line := range strings.Split(calls, "\n") {
		m := traced.FindStringSubmatch(line)
		switch {
		case failed != "" && strings.Contains(line, "unlinkat(") && strings.Contains(line, filepath.Base(failed)):
			failed = ""
		case m == nil:
		case strings.Contains(line, "(INJECTED)"):
			failed = m[2]
		case m[2] == failed:
			t.Errorf("%s: %s is used again: %s", what, filepath.Base(failed), line)
		}
	}
}
