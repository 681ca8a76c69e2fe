// Command compare runs Heyan beside a bare echo, a tuned echo and a floor, in turn and several times, and prints what
// it costs as ratios within this one run. deploy/bench/run.sh builds what it needs and runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/heyan-project/heyan/deploy/bench/internal/figure"
)

// tools are the binaries that run.sh built.
type tools struct{ dir string }

func (t tools) path(name string) string { return filepath.Join(t.dir, name) }

// report is the JSON file.
type report struct {
	Time     time.Time       `json:"time"`
	Go       string          `json:"go"`
	System   string          `json:"system"`
	CPUs     int             `json:"cpus"`
	People   int             `json:"people"`
	Rows     int64           `json:"rows"`
	Digests  int64           `json:"digests"` // stored, anchors included
	Record   int             `json:"record_bytes"`
	Settings settings        `json:"settings"`
	Figures  []figure.Figure `json:"figures"`
	Runs     []run           `json:"runs"`
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	p := fullPlan
	quick := flag.Bool("quick", false, "a minute or so, with 100,000 people: to see that it works, not for figures")
	people := flag.Int("people", 0, "people in the dataset; 0 = 1,000,000, with --quick 100,000")
	rounds := flag.Int("rounds", 0, "rounds; 0 = 5, with --quick 3")
	out := flag.String("out", "", "JSON file for the result")
	dir := flag.String("tools", "", "directory of the binaries")
	work := flag.String("work", "", "empty directory for everything that is written")
	flag.Parse()
	limit := 10 * time.Minute
	if *quick {
		p, limit = quickPlan, 3*time.Minute
	}
	if *people > 0 {
		p.people = *people
	}
	if *rounds > 0 {
		p.rounds = *rounds
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	result, err := measure(ctx, p, tools{*dir}, *work)
	if err == nil && *out != "" {
		err = write(*out, result)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func write(path string, r *report) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Printf("\neverything, round by round: %s\n", path)
	return nil
}

func measure(ctx context.Context, p plan, t tools, work string) (*report, error) {
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("%6.1f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	r := &report{Time: began.UTC(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), People: p.people}
	h, err := layOut(ctx, t.path("heyan"), filepath.Join(work, "heyan"))
	if err != nil {
		return nil, err
	}
	if _, err := h.serve(ctx); err != nil {
		return nil, err
	}
	defer func() { h.stop() }()
	if err := h.furnish(ctx); err != nil {
		return nil, err
	}
	people, err := populate(ctx, p, t, work, h, r, say)
	if err != nil {
		return nil, err
	}
	if err := restart(ctx, p.restarts, h, r); err != nil {
		return nil, err
	}
	b := &bench{plan: p, load: t.path("load"), tls: h.credentials(client), say: say}
	targets, stopAll, err := lineUp(ctx, b, t, work, h, people, r)
	defer stopAll()
	if err != nil {
		return nil, err
	}
	say("servers are up: %s", settingsText(h.config))
	for n := 1; n <= p.rounds; n++ {
		if err := b.round(ctx, targets, n); err != nil {
			return nil, err
		}
	}
	stopAll()
	r.Figures = append(b.compared(), r.Figures...)
	if err := parts(ctx, p, t, work, r); err != nil {
		return nil, err
	}
	r.Runs = b.runs
	say("done")
	fmt.Printf("\n%s\n%s\n", b.table(), figure.Table(r.Figures))
	fmt.Printf("%d processors, %s, %s; %d people, %d rows, %d stored digests; %s. Servers and load generator share the processors.\n",
		r.CPUs, r.System, r.Go, r.People, r.Rows, r.Digests, settingsText(r.Settings))
	return r, nil
}

func settingsText(s settings) string {
	memory := "no memory limit"
	if s.MemoryLimit < 1<<60 {
		memory = fmt.Sprintf("GOMEMLIMIT %d", s.MemoryLimit)
	}
	return fmt.Sprintf("GOGC %d, %s, %d stream workers", s.GCPercent, memory, s.StreamWorkers)
}

// hashed is what parts says of its loop of HMACs.
type hashed struct {
	PerSecond float64 `json:"rows_per_second"`
	Digests   float64 `json:"digests_per_row"`
}

// populate invents people, and imports them between two runs of the loop of HMACs.
func populate(ctx context.Context, p plan, t tools, work string, h *heyan, r *report, say func(string, ...any)) ([]person, error) {
	csv := filepath.Join(work, "people.csv")
	if _, err := output(ctx, nil, nil, t.path("heyan"), "dataset", "sample", "--people", strconv.Itoa(p.people), "-f", csv); err != nil {
		return nil, err
	}
	c, err := readCensus(csv, max(p.people*8/10/p.asked, 1), time.Now())
	if err != nil {
		return nil, err
	}
	say("%d people invented, %d of them to be asked about", p.people, len(c.people))
	var loops [2]hashed
	if _, err := output(ctx, nil, &loops[0], t.path("parts"), "-people", csv, "hmac"); err != nil {
		return nil, err
	}
	done, err := h.load(ctx, c)
	if err != nil {
		return nil, err
	}
	if _, err := output(ctx, nil, &loops[1], t.path("parts"), "-people", csv, "hmac"); err != nil {
		return nil, err
	}
	rate := float64(done.rows) / done.took.Seconds()
	say("%d rows imported in %.1f s: %.0f rows/s; HMACs alone %.0f and %.0f rows/s", done.rows, done.took.Seconds(), rate, loops[0].PerSecond, loops[1].PerSecond)
	r.Rows = done.rows
	r.Digests = int64(float64(done.rows)*loops[0].Digests) + done.anchors
	r.Figures = append(r.Figures,
		figure.New("import over RPC, rows/s against a loop of the same HMACs", "×", "≥ 0.5", []float64{rate / loops[0].PerSecond, rate / loops[1].PerSecond}),
		figure.New("dataset file, bytes against 32 × stored digests", "×", "≤ 1.3", []float64{float64(done.bytes) / 32 / float64(r.Digests)}))
	return c.people, os.Remove(csv)
}

// restart stops and starts the server with its dataset, so many times.
func restart(ctx context.Context, times int, h *heyan, r *report) error {
	var took, resident []float64
	for range times {
		h.stop()
		d, err := h.serve(ctx)
		if err != nil {
			return err
		}
		took = append(took, d.Seconds()*1000)
		h.calm()
		if mib, known := h.resident(); known {
			resident = append(resident, mib)
		}
	}
	size := fmt.Sprintf("with %.1f million digests", float64(r.Digests)/1e6)
	r.Figures = append(r.Figures,
		figure.New("start to SERVING "+size, "ms", "≤ 1000", took),
		figure.New("resident memory, idle "+size+", without mapped files", "MiB", "≤ 150", resident))
	return nil
}

// lineUp starts the baselines and prepares what is asked.
func lineUp(ctx context.Context, b *bench, t tools, work string, h *heyan, people []person, r *report) (all []target, stopAll func(), err error) {
	var running []*process
	stopAll = func() {
		for _, p := range running {
			p.stop()
		}
		running = nil
	}
	response := filepath.Join(work, "response")
	if err := h.sampleResponse(ctx, response, people[0]); err != nil {
		return nil, stopAll, err
	}
	if _, err := output(ctx, nil, &r.Record, t.path("parts"), "record"); err != nil {
		return nil, stopAll, err
	}
	r.Settings = h.config
	stored := people[:min(b.stored, len(people))]
	consents, err := h.store(ctx, stored, time.Now())
	if err != nil {
		return nil, stopAll, err
	}
	inline, onFile := filepath.Join(work, "requests"), filepath.Join(work, "requests-stored")
	if err := errors.Join(writeRequests(inline, people, nil, time.Now()), writeRequests(onFile, stored, consents, time.Now())); err != nil {
		return nil, stopAll, err
	}
	for _, name := range []string{echoName, tunedName, floorName} {
		p, err := h.baseline(ctx, t.path("baseline"), name, response, filepath.Join(work, "floor"), r.Record)
		if err != nil {
			return nil, stopAll, err
		}
		running = append(running, p)
		all = append(all, target{name, p, inline})
	}
	return append(all, target{heyanName, h.process, inline}, target{storedName, h.process, onFile}), stopAll, nil
}

// logRound is what parts says of the log.
type logRound struct {
	LogPerSecond  float64 `json:"log_per_second"`
	BarePerSecond float64 `json:"bare_per_second"`
	LogP50        float64 `json:"log_p50_ms"`
	BareP50       float64 `json:"bare_p50_ms"`
}

// parts measures log and domain by themselves.
func parts(ctx context.Context, p plan, t tools, work string, r *report) error {
	dir := filepath.Join(work, "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	var rounds []logRound
	if _, err := output(ctx, nil, &rounds, t.path("parts"), "-dir", dir, "-seconds", fmt.Sprint(p.logs), "-rounds", strconv.Itoa(p.rounds), "log"); err != nil {
		return err
	}
	var throughput, latency []float64
	for _, one := range rounds {
		throughput = append(throughput, one.LogPerSecond/one.BarePerSecond)
		latency = append(latency, one.LogP50/one.BareP50)
	}
	r.Figures = append(r.Figures,
		figure.New("log, 64 writers, sealed, against bare group commit", "×", "≥ 0.9", throughput),
		figure.New("log, one writer, p50 against one bare write and fdatasync", "×", "≤ 1.6", latency))
	allocations, err := domainAllocations(ctx, t)
	r.Figures = append(r.Figures, figure.New("allocations of the domain path (normalise, digest, decide)", "", "≤ 10", allocations))
	return err
}

var allocationsOf = regexp.MustCompile(`BenchmarkDomain\S*\s.*\s(\d+) allocs/op`)

// domainAllocations runs the benchmark of package verifier.
func domainAllocations(ctx context.Context, t tools) ([]float64, error) {
	out, err := exec.CommandContext(ctx, t.path("verifier.test"), "-test.run=^$", "-test.bench=^BenchmarkDomain$", "-test.benchtime=2000x", "-test.benchmem").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("benchmark of the domain: %w: %s", err, out)
	}
	found := allocationsOf.FindSubmatch(out)
	if found == nil {
		return nil, fmt.Errorf("benchmark of the domain printed no allocations: %s", out)
	}
	n, err := strconv.ParseFloat(string(found[1]), 64)
	return []float64{n}, err
}
