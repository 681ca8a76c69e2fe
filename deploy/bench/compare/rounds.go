package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/heyan-project/heyan/deploy/bench/internal/job"
)

// target is one server with the requests that it is asked.
type target struct {
	name     string
	process  *process
	requests string
}

// plan is how much is run.
type plan struct {
	people  int
	asked   int // people who are asked about
	stored  int // of them, with a stored consent
	rounds  int
	warmUp  float64 // seconds of each run that do not count
	seconds float64 // of each run
	logs    float64 // seconds of one round of the log

	restarts int
}

var (
	quickPlan = plan{people: 100_000, asked: 10_000, stored: 500, rounds: 3, warmUp: 0.3, seconds: 1, logs: 1, restarts: 1}
	fullPlan  = plan{people: 1_000_000, asked: 50_000, stored: 5_000, rounds: 5, warmUp: 1, seconds: 4, logs: 4, restarts: 3}
)

// Callers of the runs. The first is the one at which batches and fixed rates are compared.
var callerCounts = []int{64, 256}

const (
	connections  = 4
	batchItems   = 100
	batchCallers = 16
)

// run is one run of the load generator against one server.
type run struct {
	Server    string  `json:"server"`
	Round     int     `json:"round"`
	Callers   int     `json:"callers"`
	Rate      float64 `json:"rate,omitempty"`
	Batch     int     `json:"batch,omitempty"`
	PerSecond float64 `json:"items_per_second"`
	ServerCPU float64 `json:"server_cpu_us,omitempty"` // processor time of the server, µs an item; 0 = unknown
	ClientCPU float64 `json:"client_cpu_us"`
	job.Result
}

// bench runs rounds.
type bench struct {
	plan
	load string // the generator's binary
	tls  job.Credentials
	runs []run
	say  func(format string, args ...any)
}

// one runs the generator against one server. What the server goes on doing after its last answer is its cost too.
func (b *bench) one(ctx context.Context, t target, order job.Load, round int) (*run, error) {
	order.Address, order.TLS, order.Requests, order.Connections = t.process.address, b.tls, t.requests, connections
	order.WarmUp, order.Seconds = b.warmUp, b.seconds
	order.Run = fmt.Sprintf("r%015d", len(b.runs))
	before, known := t.process.cpu()
	r := run{Server: t.name, Round: round, Callers: order.Callers, Rate: order.Rate, Batch: order.Batch}
	clientCPU, err := output(ctx, order, &r.Result, b.load)
	if err != nil {
		return nil, fmt.Errorf("%s, %d callers: %w: %s", t.name, order.Callers, err, t.process.errors)
	}
	t.process.calm()
	after, _ := t.process.cpu()
	if len(r.Failures) > 0 {
		return nil, fmt.Errorf("%s, %d callers: %v", t.name, order.Callers, r.Failures)
	}
	if r.Items == 0 {
		return nil, fmt.Errorf("%s, %d callers: no call was answered", t.name, order.Callers)
	}
	microseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(r.AllItems) }
	r.PerSecond, r.ClientCPU = r.Result.PerSecond(), microseconds(clientCPU)
	if known {
		r.ServerCPU = microseconds(after - before)
	}
	b.runs = append(b.runs, r)
	return &r, nil
}

// round runs every server at every number of callers, then batches and fixed rates. Every second round goes backwards,
// so that a machine that grows slower or faster does not favour one of them.
func (b *bench) round(ctx context.Context, targets []target, n int) error {
	var said []string
	rates := map[string]float64{}
	for _, callers := range callerCounts {
		for i := range targets {
			t := targets[i]
			if n%2 == 0 {
				t = targets[len(targets)-1-i]
			}
			r, err := b.one(ctx, t, job.Load{Callers: callers}, n)
			if err != nil {
				return err
			}
			said = append(said, fmt.Sprintf("%s/%d %.0f", t.name, callers, r.PerSecond))
			if callers == callerCounts[0] {
				rates[t.name] = r.PerSecond
			}
		}
	}
	for _, t := range targets {
		switch t.name {
		case heyanName:
			if _, err := b.one(ctx, t, job.Load{Callers: batchCallers, Batch: batchItems}, n); err != nil {
				return err
			}
			fallthrough
		case floorName:
			if _, err := b.one(ctx, t, job.Load{Callers: callerCounts[1], Rate: rates[heyanName] / 2}, n); err != nil {
				return err
			}
		}
	}
	b.say("round %d of %d: calls/s %s", n, b.rounds, strings.Join(said, ", "))
	return nil
}

// Names of the servers.
const (
	echoName   = "echo"
	tunedName  = "tuned"
	floorName  = "floor"
	heyanName  = "heyan"
	storedName = "heyan, stored consent"
)

// find returns the run of a server in a round.
func (b *bench) find(server string, round int, match func(*run) bool) *run {
	for i := range b.runs {
		if r := &b.runs[i]; r.Server == server && r.Round == round && match(r) {
			return r
		}
	}
	return nil
}

func closed(callers int) func(*run) bool {
	return func(r *run) bool { return r.Callers == callers && r.Rate == 0 && r.Batch == 0 }
}

func fixedRate(r *run) bool { return r.Rate > 0 }

func batches(r *run) bool { return r.Batch > 0 }
