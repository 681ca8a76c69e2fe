// Command baseline is the servers that Heyan is compared with: they take the same VerifyRequest over the same mutual
// TLS and answer with a VerifyResponse of the same size, and do nothing in between.
//
//	echo    a bare grpc-go server with default settings
//	tuned   the gRPC options, garbage collector and stream workers of Heyan
//	floor   tuned, and one group-committed append of a log record's bytes before each reply
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"

	"github.com/heyan-project/heyan/deploy/bench/internal/groupcommit"
	"github.com/heyan-project/heyan/deploy/bench/internal/job"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

type options struct {
	kind, listen, response, dir        string
	record, gcPercent, workers, stream int
	memoryLimit                        int64
	tls                                job.Credentials
}

func main() {
	var o options
	flag.StringVar(&o.kind, "kind", "echo", "echo, tuned or floor")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "address")
	flag.StringVar(&o.tls.CA, "ca", "", "CA of callers, PEM")
	flag.StringVar(&o.tls.Certificate, "cert", "", "certificate, PEM")
	flag.StringVar(&o.tls.Key, "key", "", "its key, PEM")
	flag.StringVar(&o.response, "response", "", "file of the VerifyResponse to answer with")
	flag.StringVar(&o.dir, "dir", "", "floor: directory of the file that is appended to")
	flag.IntVar(&o.record, "record", 0, "floor: bytes of a record")
	flag.IntVar(&o.gcPercent, "gc-percent", 100, "tuned, floor: as GOGC")
	flag.Int64Var(&o.memoryLimit, "memory-limit", 0, "tuned, floor: as GOMEMLIMIT, bytes; 0 = none")
	flag.IntVar(&o.workers, "stream-workers", 0, "tuned, floor: goroutines that serve calls; 0 = one a call")
	flag.IntVar(&o.stream, "streams", 1024, "tuned, floor: calls at once on a connection")
	flag.Parse()
	if err := run(o); err != nil {
		log.Fatal(err)
	}
}

func run(o options) error {
	creds, err := transportCredentials(o.tls)
	if err != nil {
		return err
	}
	settings := []grpc.ServerOption{grpc.Creds(creds)}
	if o.kind != "echo" {
		debug.SetGCPercent(o.gcPercent)
		if o.memoryLimit > 0 {
			debug.SetMemoryLimit(o.memoryLimit)
		}
		settings = append(settings, tuned(o)...)
	}
	service := &echo{response: &heyanv1.VerifyResponse{}}
	text, err := os.ReadFile(o.response)
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(text, service.response); err != nil {
		return err
	}
	if o.kind == "floor" {
		service.record = make([]byte, o.record)
		if service.appender, err = groupcommit.Open(o.dir); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	server := grpc.NewServer(settings...)
	heyanv1.RegisterVerificationServiceServer(server, service)
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-interrupted.Done()
		server.Stop()
	}()
	fmt.Println(listener.Addr()) // whoever started this waits for the line
	if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

func transportCredentials(c job.Credentials) (credentials.TransportCredentials, error) {
	pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("no certificate of a CA")
	}
	return credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}), nil
}

// tuned is what package server sets, but for what belongs to its own codec and chain.
func tuned(o options) []grpc.ServerOption {
	settings := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(32 << 20),
		grpc.MaxHeaderListSize(8 << 10),
		grpc.MaxConcurrentStreams(uint32(o.stream)),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: 30 * time.Minute, MaxConnectionAge: 4 * time.Hour, MaxConnectionAgeGrace: time.Minute,
			Time: 2 * time.Minute, Timeout: 20 * time.Second}),
		grpc.WaitForHandlers(true),
	}
	if o.workers > 0 {
		settings = append(settings, grpc.NumStreamWorkers(uint32(o.workers)))
	}
	return settings
}

// echo answers with the same response always.
type echo struct {
	heyanv1.UnimplementedVerificationServiceServer
	response *heyanv1.VerifyResponse
	appender *groupcommit.Appender // nil: nothing is appended
	record   []byte
}

// Verify implements heyanv1.VerificationServiceServer.
func (e *echo) Verify(context.Context, *heyanv1.VerifyRequest) (*heyanv1.VerifyResponse, error) {
	if e.appender != nil {
		if err := e.appender.Append(e.record); err != nil {
			return nil, err
		}
	}
	return e.response, nil
}
