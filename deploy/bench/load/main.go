// Command load puts one of the compared servers under load and prints what the callers saw, as JSON.
//
// It shares the processors with the server, so it does as little as it can: requests are encoded beforehand and only
// their ids are written into a copy, and one answer in many is decoded. Two modes. Closed loop: each caller sends its
// next call when the last one is answered. Fixed rate: call n is due at start + n/rate, and its latency counts from
// then, so that a server that stalls is charged for the calls that had to wait.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/heyan-project/heyan/deploy/bench/internal/job"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// decoded is how many answers there are for each that is decoded.
const (
	decodedOf      = 64
	decodedOfBatch = 4
)

func main() {
	debug.SetGCPercent(400)
	var order job.Load
	if err := json.NewDecoder(os.Stdin).Decode(&order); err != nil {
		log.Fatal(err)
	}
	result, err := run(order)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// generator is one run.
type generator struct {
	job.Load
	templates   []template
	connections []*grpc.ClientConn
	start       time.Time // of the warm-up
	counted     time.Time // from here on calls count
	end         time.Time
	next        atomic.Int64
}

// caller is what one caller saw.
type caller struct {
	latencies []time.Duration
	all       int64
	verdicts  map[string]int64
	failures  map[string]int64
}

func run(order job.Load) (*job.Result, error) {
	g := &generator{Load: order}
	file, err := os.ReadFile(order.Requests)
	if err != nil {
		return nil, err
	}
	if g.templates, err = templates(file, order.Batch); err != nil {
		return nil, err
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	ctx, cancel := context.WithTimeout(context.Background(), seconds(order.WarmUp+order.Seconds)+30*time.Second)
	defer cancel()
	if err := g.connect(ctx); err != nil {
		return nil, err
	}
	g.start = time.Now()
	g.counted = g.start.Add(seconds(order.WarmUp))
	g.end = g.counted.Add(seconds(order.Seconds))
	callers := make([]*caller, order.Callers)
	var group sync.WaitGroup
	for i := range callers {
		callers[i] = &caller{latencies: make([]time.Duration, 0, 4096), verdicts: map[string]int64{}, failures: map[string]int64{}}
		group.Go(func() { g.loop(ctx, g.connections[i%len(g.connections)], callers[i]) })
	}
	group.Wait()
	return g.result(callers), nil
}

// connect opens every connection, so that no handshake is measured.
func (g *generator) connect(ctx context.Context) error {
	pair, err := tls.LoadX509KeyPair(g.TLS.Certificate, g.TLS.Key)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(g.TLS.CA)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return errors.New("no certificate of a CA")
	}
	creds := credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: pool})
	for range g.Connections {
		conn, err := grpc.NewClient(g.Address, grpc.WithTransportCredentials(creds), grpc.WithDisableRetry(),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire{}), grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(32<<20)))
		if err != nil {
			return err
		}
		g.connections = append(g.connections, conn)
		conn.Connect()
		for state := conn.GetState(); state.String() != "READY"; state = conn.GetState() {
			if !conn.WaitForStateChange(ctx, state) {
				return ctx.Err()
			}
		}
	}
	return nil
}

func (g *generator) loop(ctx context.Context, conn *grpc.ClientConn, c *caller) {
	method, items, of := heyanv1.VerificationService_Verify_FullMethodName, int64(1), int64(decodedOf)
	if g.Batch > 0 {
		method, items, of = heyanv1.VerificationService_BatchVerify_FullMethodName, int64(g.Batch), decodedOfBatch
	}
	for {
		n := g.next.Add(1) - 1
		begin := time.Now()
		if g.Rate > 0 {
			due := g.start.Add(time.Duration(float64(n) / g.Rate * float64(time.Second)))
			time.Sleep(due.Sub(begin))
			begin = due
		}
		if !begin.Before(g.end) {
			return
		}
		var answer incoming
		if n%of == 0 {
			answer.decode = g.answer()
		}
		t := &g.templates[n%int64(len(g.templates))]
		err := conn.Invoke(ctx, method, t.fill(g.Run, n*items, len(t.ids)/int(items)), &answer)
		c.all += items
		switch {
		case err != nil:
			c.failures[status.Code(err).String()+" "+status.Convert(err).Message()]++
		case answer.bytes == 0:
			c.failures["EMPTY_ANSWER"]++
		default:
			if answer.decode != nil {
				verdictsOf(answer.decode, func(v string) { c.verdicts[v]++ }, func(f string) { c.failures[f]++ })
			}
			if !begin.Before(g.counted) {
				c.latencies = append(c.latencies, time.Since(begin))
			}
		}
	}
}

func (g *generator) answer() proto.Message {
	if g.Batch > 0 {
		return &heyanv1.BatchVerifyResponse{}
	}
	return &heyanv1.VerifyResponse{}
}

func (g *generator) result(callers []*caller) *job.Result {
	// The last calls end after the run does; they count, and so does the time until they have ended.
	r := &job.Result{Seconds: time.Since(g.counted).Seconds(), Verdicts: map[string]int64{}, Failures: map[string]int64{}}
	var all []time.Duration
	for _, c := range callers {
		all = append(all, c.latencies...)
		r.AllItems += c.all
		for name, n := range c.verdicts {
			r.Verdicts[name] += n
		}
		for name, n := range c.failures {
			r.Failures[name] += n
		}
	}
	slices.Sort(all)
	quantile := func(q float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return float64(all[min(int(q*float64(len(all))), len(all)-1)].Microseconds()) / 1000
	}
	r.Items = int64(len(all)) * int64(max(g.Batch, 1))
	r.P50, r.P99 = quantile(0.5), quantile(0.99)
	return r
}
