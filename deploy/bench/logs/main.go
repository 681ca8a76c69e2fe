// Command logs measures what the network log costs, each figure beside its baseline in the same run: durable appends
// against a bare group commit and against Tessera's POSIX driver, searches against zstdcat and grep over the same
// records, bytes at rest, full verification, and the start after a kill. deploy/bench/log.sh builds what it needs and
// runs it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/heyan-project/heyan/deploy/bench/internal/figure"
)

// plan says how much is run.
type plan struct {
	records int
	rounds  int
	seconds float64 // of one run of appends
}

var (
	fullPlan  = plan{records: 2_000_000, rounds: 5, seconds: 2}
	quickPlan = plan{records: 200_000, rounds: 3, seconds: 0.5}
)

// report is the JSON file.
type report struct {
	Time    time.Time       `json:"time"`
	Go      string          `json:"go"`
	System  string          `json:"system"`
	CPUs    int             `json:"cpus"`
	Load    [2]string       `json:"load"` // of the machine, before and after
	Records int             `json:"records"`
	Figures []figure.Figure `json:"figures"`
}

// bench is one run.
type bench struct {
	plan
	tools, work string
	began       time.Time
	report      report
}

func (b *bench) say(format string, args ...any) {
	fmt.Printf("%6.1f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

func (b *bench) add(name, unit, target string, values []float64) {
	b.report.Figures = append(b.report.Figures, figure.New(name, unit, target, values))
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("logs: ")
	quick := flag.Bool("quick", false, "two minutes or less, with 200,000 records: to see that it works, not for figures")
	records := flag.Int("records", 0, "records to search and verify; 0 = 2,000,000, with --quick 200,000")
	rounds := flag.Int("rounds", 0, "rounds; 0 = 5, with --quick 3")
	out := flag.String("out", "", "JSON file for the result")
	tools := flag.String("tools", "", "directory of the binaries")
	work := flag.String("work", "", "empty directory for everything that is written")
	flag.Parse()
	if flag.Arg(0) == "fill" { // the process that is killed
		log.Fatal(fill(*work))
	}
	b := &bench{plan: fullPlan, tools: *tools, work: *work, began: time.Now()}
	limit := 15 * time.Minute
	if *quick {
		b.plan, limit = quickPlan, 4*time.Minute
	}
	if *records > 0 {
		b.records = *records
	}
	if *rounds > 0 {
		b.rounds = *rounds
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := b.measure(ctx)
	if err == nil && *out != "" {
		err = b.write(*out)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func (b *bench) measure(ctx context.Context) error {
	b.report = report{Time: b.began.UTC(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Records: b.records}
	b.report.Load[0] = load()
	w, err := b.furnish(ctx)
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{b.appends, w.search, w.verify, b.restarts} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	b.report.Load[1] = load()
	b.say("done")
	fmt.Printf("\n%s\n%d processors, %s, %s, load %s before and %s after; %d records. Medians of %d rounds.\n", figure.Table(b.report.Figures),
		b.report.CPUs, b.report.System, b.report.Go, b.report.Load[0], b.report.Load[1], b.records, b.rounds)
	return nil
}

// load is the machine's load average over a minute, where the system tells.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	if one, _, ok := strings.Cut(string(text), " "); ok {
		return one
	}
	return "unknown"
}

func (b *bench) write(path string) error {
	text, err := json.MarshalIndent(&b.report, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Printf("\neverything, round by round: %s\n", path)
	return nil
}

// dir makes a directory for one part.
func (b *bench) dir(name string) (string, error) {
	path := filepath.Join(b.work, name)
	return path, os.Mkdir(path, 0o700)
}
