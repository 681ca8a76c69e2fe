package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// testNotice is the notice of every tenant of a test server.
const testNotice = "test-notice"

// testConnection is what `heyan testserver` prints: how to reach it, with a key for each tenant.
type testConnection struct {
	Address       string   `json:"address"`
	StatusAddress string   `json:"status_address"`
	CAFile        string   `json:"ca_file"`
	APIKeys       []string `json:"api_keys"`
	Notice        string   `json:"notice"`
	LogKey        string   `json:"log_key"`
}

func testserverCommand(a *app) *cobra.Command {
	tenants := 4
	c := &cobra.Command{
		Use:   "testserver [-- CMD…]",
		Short: "Run a throw-away server for your own tests",
		Long: `Starts a server on free loopback ports, with its data in a temporary folder that is removed at the end. Answers come
from the simulator, by name: 测试一致 MATCH, 测试不一致 MISMATCH, 测试无记录 NO_RECORD, 测试不可核 NOT_VERIFIABLE,
测试已冻结 INSTRUMENT_BLOCKED, 测试未知 pending, 测试超时 and 测试源故障 SOURCE_UNAVAILABLE; any other name NO_RECORD.

Each API key belongs to a client of its own with every product and the notice "test-notice", so that tests that run
side by side see nothing of each other.

Without CMD it prints the connection as one line of JSON and serves until interrupted. With CMD it runs CMD with the
connection in the environment (HEYAN_ADDRESS, HEYAN_CA_FILE, HEYAN_API_KEY, HEYAN_API_KEYS, HEYAN_NOTICE) and ends
with its exit code.`,
		Example: `  heyan testserver -- npm test
  heyan testserver --tenants 1`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.testserver(cmd.Context(), tenants, args) },
	}
	c.Flags().IntVar(&tenants, "tenants", tenants, "how many clients, each with an API key")
	return c
}

func (a *app) testserver(ctx context.Context, tenants int, command []string) error {
	if tenants < 1 || tenants > 100 {
		return usageError("--tenants: 1 to 100", "")
	}
	home, err := os.MkdirTemp("", "heyan-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	i, connection, err := a.startTestserver(ctx, home, tenants)
	if err != nil {
		return err
	}
	stop := func() error { return i.stop(context.WithoutCancel(ctx)) }
	if len(command) == 0 {
		return errors.Join(output.ValueLine(a.Out, connection), i.until(ctx, slog.New(slog.DiscardHandler)))
	}
	code, err := a.runWith(ctx, connection, command)
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	if code != 0 {
		return &exitError{code: code}
	}
	return nil
}

// startTestserver lays out a folder, starts a server in it and furnishes its tenants.
func (a *app) startTestserver(ctx context.Context, home string, tenants int) (*instance, *testConnection, error) {
	if err := firstDev(ctx, a, home, "127.0.0.1:0", "127.0.0.1:0"); err != nil {
		return nil, nil, err
	}
	c, err := config.Load(filepath.Join(home, "heyan.yaml"))
	if err != nil {
		return nil, nil, err
	}
	s, err := openState(ctx, c, false, slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: slog.LevelError})))
	if err != nil {
		return nil, nil, err
	}
	i, err := startInstance(ctx, s, a.Env)
	if err != nil {
		return nil, nil, errors.Join(err, s.close())
	}
	connection := &testConnection{
		Address: i.address(), StatusAddress: i.statusAt.Addr().String(), CAFile: filepath.Join(home, "certs", "ca.pem"),
		Notice: testNotice, LogKey: i.log.Key(),
	}
	if connection.APIKeys, err = furnishTenants(ctx, home, i.address(), tenants); err != nil {
		return nil, nil, errors.Join(err, i.stop(context.WithoutCancel(ctx)))
	}
	return i, connection, nil
}

func furnishTenants(ctx context.Context, home, address string, n int) (keys []string, err error) {
	c, err := openCrew(home, address)
	if err != nil {
		return nil, err
	}
	defer c.close()
	for k := 1; k <= n; k++ {
		t := tenant{id: fmt.Sprintf("tenant-%d", k), test: true, detail: true}
		key, err := t.furnish(ctx, c)
		if err != nil {
			return nil, err
		}
		if err := createNotice(ctx, home, address, key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func createNotice(ctx context.Context, home, address, key string) error {
	conn, err := dial.Open(profile.Layer{
		Profile: profile.Profile{Address: address, CAFile: filepath.Join(home, "certs", "ca.pem")}, APIKey: key}, buildVersion())
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = heyanv1.NewConsentServiceClient(conn).CreateNotice(ctx, fullNotice(testNotice, true))
	return err
}

// runWith runs a command with the connection in its environment and returns its exit code.
func (a *app) runWith(ctx context.Context, c *testConnection, command []string) (int, error) {
	var keys bytes.Buffer
	for k, key := range c.APIKeys {
		if k > 0 {
			keys.WriteByte(',')
		}
		keys.WriteString(key)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.In, a.Out, a.Err
	cmd.Env = append(os.Environ(), "HEYAN_ADDRESS="+c.Address, "HEYAN_CA_FILE="+c.CAFile, "HEYAN_API_KEY="+c.APIKeys[0],
		"HEYAN_API_KEYS="+keys.String(), "HEYAN_NOTICE="+c.Notice)
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}
