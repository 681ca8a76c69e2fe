package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/cmd/heyan/internal/saved"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/telemetry"
	"github.com/heyan-project/heyan/store/netlog/forward"
)

// forwardWithin is how long a stop waits for the collector.
const forwardWithin = 3 * time.Second

// startForward begins to forward the log, from what this start writes on, where the configuration names a collector.
func (s *state) startForward() (*forward.Forwarder, error) {
	c := &s.config.Log.Forward
	if c.Address == "" {
		return nil, nil
	}
	trust, err := forwardTLS(c)
	if err != nil {
		return nil, err
	}
	origin := s.log.Origin()
	return forward.Start(forward.Options{
		Log: s.log, Node: s.config.Node, Address: c.Address, TLS: trust, From: s.log.Size(), Position: c.Position,
		MaxLag: uint64(c.MaxLag), Now: s.now, Logger: s.logger,
		JSON: func(index uint64, leaf []byte) ([]byte, error) { return listedLine(origin, index, leaf) },
	})
}

// listedLine is a record as `heyan log list -o json` prints it.
func listedLine(origin string, index uint64, leaf []byte) ([]byte, error) {
	entry, _, err := saved.NewEntry(&heyanv1.ListLogEntriesResponse{Position: &heyanv1.LogPosition{Origin: origin, Index: index}, Leaf: leaf})
	if err != nil {
		return nil, err
	}
	var line bytes.Buffer
	err = output.ValueLine(&line, entry)
	return bytes.TrimSuffix(line.Bytes(), []byte("\n")), err
}

// forwardTLS reads the files that say whom to trust, and who this node is.
func forwardTLS(c *config.Forward) (*tls.Config, error) {
	trust := &tls.Config{ServerName: c.ServerName}
	if c.CA != "" {
		var err error
		if trust.RootCAs, err = keyfile.ReadCA(c.CA); err != nil {
			return nil, err
		}
	}
	if c.Certificate != "" && c.Key != "" {
		pair, err := keyfile.ReadTLS(c.Certificate, c.Key)
		if err != nil {
			return nil, err
		}
		trust.Certificates = []tls.Certificate{pair}
	}
	if c.Position != "" {
		if info, err := os.Stat(filepath.Dir(c.Position)); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("log.forward.position: %s is no folder", filepath.Dir(c.Position))
		}
	}
	return trust, nil
}

// stopForward sends what the log holds by now, for as long as a stop can wait.
func (i *instance) stopForward(ctx context.Context) {
	if i.forward == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, forwardWithin)
	defer cancel()
	if left := i.forward.Stop(ctx); left > 0 {
		i.logger.Warn("log forwarding: stopped before the collector had everything", "records", left)
	}
}

// forwardState is what a scrape reads of the forwarding; nil where there is none.
func forwardState(f *forward.Forwarder) func() telemetry.Forwarding {
	if f == nil {
		return nil
	}
	return func() telemetry.Forwarding {
		s := f.Status()
		return telemetry.Forwarding{Connected: s.Connected, Sent: s.Sent, Skipped: s.Skipped, Reconnects: s.Reconnects, Lag: s.Lag}
	}
}
