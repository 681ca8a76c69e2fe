package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// heyan is the measured server.
type heyan struct {
	*process
	binary  string
	home    string // as heyan init lays it out
	address string
	config  settings
}

// settings are what the server says about itself when it starts; the tuned baselines take them over.
type settings struct {
	GCPercent     int   `json:"gc_percent"`
	MemoryLimit   int64 `json:"memory_limit"`
	StreamWorkers int   `json:"stream_workers"`
}

// layOut makes a server of production shape, as a first start does.
func layOut(ctx context.Context, binary, home string) (*heyan, error) {
	h := &heyan{binary: binary, home: home}
	var err error
	if h.address, err = freeAddress(); err != nil {
		return nil, err
	}
	status, err := freeAddress()
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, binary, "init", "--dir", home, "--node", "bench", "--listen", h.address, "--status-listen", status,
		"--system", system, "--security", security, "--audit", auditor).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("heyan init: %w: %s", err, out)
	}
	return h, nil
}

// serve starts the server and returns how long it took until its health was SERVING.
func (h *heyan) serve(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	var err error
	h.process, err = start("heyan", h.address, nil, h.binary, "serve", "--config", filepath.Join(h.home, "heyan.yaml"))
	if err != nil {
		return 0, err
	}
	if err := h.listening(ctx); err != nil {
		return 0, err
	}
	conn, err := h.dial(system)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	for {
		answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true))
		if err != nil {
			return 0, fmt.Errorf("%w: %s", err, h.errors)
		}
		if answer.GetStatus() == healthv1.HealthCheckResponse_SERVING {
			break
		}
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	return took, h.readSettings()
}

// readSettings finds the line that the server prints when it serves.
func (h *heyan) readSettings() error {
	for line := range strings.Lines(h.errors.String()) {
		var said struct {
			Message string `json:"msg"`
			settings
		}
		if json.Unmarshal([]byte(line), &said) == nil && said.Message == "serving" {
			h.config = said.settings
			return nil
		}
	}
	return fmt.Errorf("heyan does not say what it serves with: %s", h.errors)
}

// baseline starts one of the servers that Heyan is compared with.
func (h *heyan) baseline(ctx context.Context, binary, kind, response, dir string, record int) (*process, error) {
	files := h.credentials("server")
	args := []string{"-kind", kind, "-ca", files.CA, "-cert", files.Certificate, "-key", files.Key, "-response", response,
		"-gc-percent", fmt.Sprint(h.config.GCPercent), "-stream-workers", fmt.Sprint(h.config.StreamWorkers), "-record", fmt.Sprint(record)}
	// A limit of the largest number is none.
	if h.config.MemoryLimit < 1<<60 {
		args = append(args, "-memory-limit", fmt.Sprint(h.config.MemoryLimit))
	}
	if kind == "floor" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		args = append(args, "-dir", dir)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	p, err := start(kind, "", write, binary, args...)
	write.Close()
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s: %w: %s", kind, err, p.errors)
	}
	p.address = strings.TrimSpace(line)
	return p, p.listening(ctx)
}
