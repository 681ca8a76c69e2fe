package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/cmd/heyan/internal/saved"
)

// A server forwards what it writes from its start to its stop, as `heyan log list -o json` would print it.
func TestServerForwardsItsLog(t *testing.T) {
	_, home := laid(t)
	pair, err := keyfile.ReadTLS(filepath.Join(home, "certs", "server.pem"), filepath.Join(home, "certs", "server.key"))
	must(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	must(t, err)
	defer listener.Close()
	var mu sync.Mutex
	var entries []saved.Entry
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		readSyslog(t, listener, func(e saved.Entry) { mu.Lock(); entries = append(entries, e); mu.Unlock() })
	}()
	path := filepath.Join(home, "heyan.yaml")
	text, err := os.ReadFile(path)
	must(t, err)
	text = fmt.Appendf(text, "\nlog: {forward: {address: %q, ca: certs/ca.pem, position: forward.position}}\n", listener.Addr())
	must(t, os.WriteFile(path, text, 0o600))
	p := startProcess(t, home)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		sums := scrapeSums(t, "http://"+p.serving.Status+"/metrics")
		if sums["heyan_log_forward_sent_total"] > 0 && sums["heyan_log_forward_lag"] == 0 && sums["heyan_log_forward_connected"] == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not forwarded: %v\n%s", sums, p.text())
		}
	}
	p.stop()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the connection was not ended")
	}
	events := map[string]bool{}
	for i, e := range entries {
		if e.Origin != p.serving.Origin || len(e.Leaf) == 0 || i > 0 && e.Index != entries[i-1].Index+1 {
			t.Fatalf("entry %d: %+v", i, e)
		}
		var r struct{ Event string }
		must(t, json.Unmarshal(e.Record, &r))
		events[r.Event] = true
	}
	if !events["system.started"] || !events["system.stopped"] {
		t.Errorf("the start or the stop was not forwarded: %v", events)
	}
	want := fmt.Sprintf(`{"origin":"%s","next":%d}`, p.serving.Origin, entries[len(entries)-1].Index+1)
	if got, err := os.ReadFile(filepath.Join(home, "forward.position")); err != nil || strings.TrimSpace(string(got)) != want {
		t.Errorf("position %s %v, want %s", got, err, want)
	}
}

// readSyslog reads the messages of one connection to its end.
func readSyslog(t *testing.T, listener net.Listener, each func(saved.Entry)) {
	conn, err := listener.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		length, err := in.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSpace(length))
		if err != nil {
			t.Errorf("length %q", length)
			return
		}
		message := make([]byte, n)
		if _, err := io.ReadFull(in, message); err != nil {
			t.Error(err)
			return
		}
		_, text, _ := strings.Cut(string(message), "] ")
		var e saved.Entry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Errorf("%v: %s", err, message)
			return
		}
		each(e)
	}
}

// config check reads the files that forwarding needs.
func TestConfigCheckReadsForwarding(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	initialise(t, home)
	path := filepath.Join(home, "heyan.yaml")
	whole, err := os.ReadFile(path)
	must(t, err)
	for says, members := range map[string]string{
		"none.pem":               "ca: certs/none.pem",
		"no certificate in PEM":  "ca: certs/server.key",
		"other.key":              "certificate: certs/server.pem, key: certs/other.key",
		"log.forward.position: ": "position: nowhere/position",
		"":                       "ca: certs/ca.pem, certificate: certs/server.pem, key: certs/server.key, position: forward.position",
	} {
		must(t, os.WriteFile(path, fmt.Appendf(whole[:len(whole):len(whole)], "\nlog: {forward: {address: \"syslog.example.cn:6514\", %s}}\n", members), 0o600))
		code, said := heyan(t, "config", "check", path)
		if says == "" && code != exitOK || says != "" && (code != exitUsage || !strings.Contains(said, says)) {
			t.Errorf("%s: exit code %d: %s", members, code, said)
		}
	}
}
