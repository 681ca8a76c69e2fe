package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a server that runs.
type process struct {
	name    string
	address string
	cmd     *exec.Cmd
	errors  *tail
	ended   chan struct{}
}

// tail keeps the last bytes of what a process says on standard error.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailBytes = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if len(t.kept) > 2*tailBytes {
		t.kept = append([]byte(nil), t.kept[len(t.kept)-tailBytes:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}

// start starts a server, without waiting for it to serve.
func start(name, address string, stdout io.Writer, program string, args ...string) (*process, error) {
	p := &process{name: name, address: address, cmd: exec.Command(program, args...), errors: &tail{}, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = stdout, p.errors
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop interrupts the process, and kills it where it does not end.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// listening waits until the address takes connections.
func (p *process) listening(ctx context.Context) error {
	for {
		conn, err := net.DialTimeout("tcp", p.address, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %s", p.name, p.errors)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// ticksPerSecond is USER_HZ of Linux, which is 100 on every architecture that Go runs on.
const ticksPerSecond = 100

// cpu is the processor time that a process has used; false where the system does not tell.
func (p *process) cpu() (time.Duration, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, false
	}
	// The second member is the program's name in parentheses; utime and stime are the 14th and 15th.
	_, after, _ := strings.Cut(string(text), ") ")
	members := strings.Fields(after)
	if len(members) < 13 {
		return 0, false
	}
	var ticks int64
	for _, member := range members[11:13] {
		n, err := strconv.ParseInt(member, 10, 64)
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, true
}

// resident is the memory of a process without mapped files, in MiB; false where the system does not tell.
func (p *process) resident() (float64, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			if members := strings.Fields(rest); len(members) > 0 {
				kib, err := strconv.ParseFloat(members[0], 64)
				return kib / 1024, err == nil
			}
		}
	}
	return 0, false
}

// calm waits until the process is idle: what it does after its load is over is part of its cost and must not fall on
// the next one's measurement.
func (p *process) calm() {
	last, ok := p.cpu()
	for deadline := time.Now().Add(2 * time.Second); ok && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
		now, _ := p.cpu()
		if now-last <= 10*time.Millisecond {
			return
		}
		last = now
	}
}

// output runs a program to its end and decodes the JSON that it prints; it returns its processor time.
func output(ctx context.Context, stdin any, result any, program string, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if stdin != nil {
		text, err := json.Marshal(stdin)
		if err != nil {
			return 0, err
		}
		cmd.Stdin = bytes.NewReader(text)
	}
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", filepath.Base(program), err, bytes.TrimSpace(errs.Bytes()))
	}
	if result != nil {
		if err := json.Unmarshal(out.Bytes(), result); err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Base(program), err)
		}
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// freeAddress is an address on loopback that nobody listens on now.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
