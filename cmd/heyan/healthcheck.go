package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
)

func healthcheckCommand(a *app) *cobra.Command {
	var url, service string
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask whether the server serves; for probes",
		Long: `Healthcheck asks grpc.health.v1 over TLS, or with --url the status port over HTTP. Exit code 0 means that it serves,
1 that it does not, whatever it says, and 4 that there was no answer. It needs no credential and never sends one.`,
		Example: `  heyan healthcheck --address 127.0.0.1:9443 --ca-file ca.pem
  heyan healthcheck --url http://127.0.0.1:9090/readyz`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if url != "" {
				return a.httpHealth(cmd.Context(), url)
			}
			return a.grpcHealth(cmd.Context(), service)
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "ask this page instead, e.g. http://127.0.0.1:9090/readyz")
	cmd.Flags().StringVar(&service, "service", "", "gRPC service to ask about; empty = the server")
	return cmd
}

func (a *app) grpcHealth(ctx context.Context, service string) error {
	target, _, err := a.resolve()
	if err != nil {
		return err
	}
	// Whoever answers at the address learns nothing, and a credential that was revoked says nothing about the server.
	target.CertFile, target.KeyFile, target.APIKeyFile, target.APIKey = "", "", "", ""
	conn, err := dial.Open(target, buildVersion())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	return errors.Join(a.healthAnswer(answer, err), conn.Close())
}

func (a *app) healthAnswer(answer *grpc_health_v1.HealthCheckResponse, err error) error {
	if err == nil {
		return a.health(answer.GetStatus().String(), answer.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING)
	}
	if status.Code(err) == codes.NotFound {
		return a.health("SERVICE_UNKNOWN", false)
	}
	said, ok := status.FromError(err)
	if !ok {
		return err
	}
	r := refusalOf(said, "")
	if !r.answered() {
		return err
	}
	return a.health(strings.TrimSpace("REFUSED "+r.Code+" "+r.Reason), false)
}

func (a *app) httpHealth(ctx context.Context, url string) error {
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return usageError("--url wants http://host:port/path", "")
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if at, err := neturl.Parse(url); err != nil || at.User != nil || at.Host == "" {
		return usageError("--url wants http://host:port/path, without user or password", "")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usageError("--url wants http://host:port/path", "")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return &exitError{exitUnreachable, "no answer from " + url, ""}
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	_ = answer.Body.Close()
	return a.health(answer.Status, answer.StatusCode == http.StatusOK)
}

func (a *app) health(text string, serving bool) error {
	if !a.quiet {
		fmt.Fprintln(a.Out, text)
	}
	if !serving {
		return errNo
	}
	return nil
}
