package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// A crash leaves no core, whatever the limits that the process inherited and whatever the runtime is told to do, and
// what it prints while it dies holds no value of the calls in flight.
func TestCrashLeavesNoCore(t *testing.T) {
	coresWanted(t)
	for _, signal := range []syscall.Signal{syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGQUIT} {
		t.Run(unix.SignalName(signal), func(t *testing.T) {
			a, home := laid(t)
			p := startProcess(t, home, "GOTRACEBACK=crash")
			limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.cmd.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits) {
				t.Errorf("limits of the server:\n%s", limits)
			}
			s := newSearch(crashUnderCanaries(t, a, home, p, signal))
			if text := p.text(); !strings.Contains(text, "goroutine") {
				t.Errorf("the server did not crash:\n%s", text)
			}
			s.none(t, "what a crash prints", []byte(p.text()))
			if cores := coreFiles(t, home); len(cores) > 0 {
				t.Errorf("core files: %v", cores)
			}
		})
	}
}

// crashUnderCanaries crashes a server while callers verify marked values.
func crashUnderCanaries(t *testing.T, a *app, home string, p *process, signal syscall.Signal) (sent []*canary) {
	t.Helper()
	crew := crewOf(t, home, p.serving.Address)
	tenant := tenant{id: "bank", products: []string{"id2"}, test: true}
	key, err := tenant.furnish(t.Context(), crew)
	if err != nil {
		t.Fatal(err)
	}
	if err := createNotice(t.Context(), home, p.serving.Address, key); err != nil {
		t.Fatal(err)
	}
	client := heyanv1.NewVerificationServiceClient(dialPlain(t, home, p.serving.Address, key))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var callers sync.WaitGroup
	var mu sync.Mutex
	var mint minter
	answered := make(chan struct{}, 1)
	for caller := range 8 {
		callers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				mu.Lock()
				name, id := mint.next("name"), mint.next("id")
				sent = append(sent, &canary{name, "name in a call that a crash cut off"}, &canary{id, "id_number in a call that a crash cut off"})
				mu.Unlock()
				ref := fmt.Sprintf("r-%d-%d", caller, n)
				_, err := client.Verify(ctx, &heyanv1.VerifyRequest{Product: "id2", Fields: &heyanv1.Fields{Name: &name, IdNumber: &id}, RequestId: ref,
					Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
						Notice: testNotice, EvidenceRef: ref, ObtainTime: timestamppb.New(a.Now().Add(-time.Hour))}}})
				if err == nil {
					select {
					case answered <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	<-answered
	p.end(signal)
	cancel()
	callers.Wait()
	return sent
}

// coresWanted raises what this process and its children may leave, so that only the server's own refusal is left.
func coresWanted(t *testing.T) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: before.Max, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &before) })
}

const hardenedChild = "HEYAN_TEST_HARDENED"

// A process that hardened itself says that it may not be dumped; the same process without it leaves a core where the
// machine makes any, which shows that the test above can fail.
func TestHardened(t *testing.T) {
	if mode, child := os.LookupEnv(hardenedChild); child {
		beChild(mode)
	}
	coresWanted(t)
	for _, mode := range []string{"hardened", "plain"} {
		dir := t.TempDir()
		said := runChild(t, mode, dir)
		cores := coreFiles(t, dir)
		switch {
		case mode == "hardened" && said != "dumpable 0 core 0 0":
			t.Errorf("a hardened process: %s", said)
		case mode == "hardened" && len(cores) > 0:
			t.Errorf("a hardened process left %v", cores)
		case mode == "plain" && !strings.HasPrefix(said, "dumpable 1 "):
			t.Errorf("a process that did not harden itself: %s", said)
		case mode == "plain" && len(cores) == 0:
			pattern, _ := os.ReadFile("/proc/sys/kernel/core_pattern")
			if path := strings.TrimSpace(string(pattern)); filepath.Base(path) == path && !strings.HasSuffix(said, "core 0 0") && path[0] != '|' {
				t.Errorf("no core of a process that may leave one as %q: the test could not fail", path)
			} else {
				t.Logf("this machine makes no core files beside a process (%s, %q)", said, path)
			}
		}
	}
}

// runChild runs the child below in a folder, crashes it once it has spoken and returns what it said.
func runChild(t *testing.T, mode, dir string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHardened$")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), hardenedChild+"="+mode, "GOTRACEBACK=crash")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Fatalf("the child did not crash: %v", err)
	}
	return strings.TrimSpace(said)
}

// beChild is the child: it says what may be kept of it, and waits to be crashed.
func beChild(mode string) {
	if mode == "hardened" {
		if err := harden(); err != nil {
			fmt.Println(err)
		}
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		fmt.Println(err)
	}
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
		fmt.Println(err)
	}
	fmt.Println("dumpable", dumpable, "core", core.Cur, core.Max)
	time.Sleep(time.Minute)
	os.Exit(0)
}
