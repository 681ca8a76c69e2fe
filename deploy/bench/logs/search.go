package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heyan-project/heyan/deploy/bench/internal/sample"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// question is one search, asked of the log and of the compressed lines.
type question struct {
	name, target string
	query        netlog.Query
	grep         []string // fixed strings, each of which a line has
	ratios       []float64
	took         []float64
}

// questions asks for addresses that are rare, and less so, and for one client in one hour.
func (w *world) questions() []*question {
	var all []*question
	for _, q := range []struct {
		hits   int
		target string
	}{{20, "≥ 100"}, {200, "≥ 100"}, {2000, ""}} {
		ip := nearest(w.addresses, q.hits, netip.Addr.String)
		all = append(all, &question{target: q.target, name: fmt.Sprintf("search by an address with %d records, against zstdcat | grep", w.addresses[ip]),
			query: netlog.Query{Source: netip.PrefixFrom(ip, ip.BitLen())}, grep: []string{fmt.Sprintf(`"source_ip":"%s"`, ip)}})
	}
	// Of the hour from 14:00 in China, which is 06:00 UTC.
	from := sample.Start.Add(14 * time.Hour).UTC()
	client := nearest(w.clients, int(w.sealed)/100, strings.Clone)
	return append(all, &question{target: "≥ 60", name: "search by a client with 1 % of all records in one hour, against the same",
		query: netlog.Query{Client: client, From: from, To: from.Add(time.Hour)},
		grep:  []string{fmt.Sprintf(`"occurred_at":"%s`, from.Format("2006-01-02T15:")), fmt.Sprintf(`"actor":"%s"`, client)}})
}

// nearest returns what was counted nearest to a number.
func nearest[K comparable](counts map[K]int, want int, text func(K) string) K {
	distance := func(k K) int { return max(counts[k]-want, want-counts[k]) }
	return slices.MinFunc(slices.Collect(maps.Keys(counts)), func(a, b K) int {
		if d := distance(a) - distance(b); d != 0 {
			return d
		}
		return strings.Compare(text(a), text(b))
	})
}

// search asks each question in each round, of cold files, alternating who comes first.
func (w *world) search(ctx context.Context) error {
	all := w.questions()
	for n := range w.rounds {
		for _, q := range all {
			var ours, theirs time.Duration
			var found, lines int
			ask := func() (err error) {
				ours, found, err = w.ask(ctx, q)
				return err
			}
			scan := func() (err error) {
				theirs, lines, err = w.scan(ctx, q)
				return err
			}
			order := []func() error{ask, scan}
			if n%2 == 1 {
				slices.Reverse(order)
			}
			for _, one := range order {
				if err := one(); err != nil {
					return err
				}
			}
			if found != lines {
				return fmt.Errorf("%s: the log finds %d records, grep %d", q.name, found, lines)
			}
			w.say("%d records in %.1f ms, by grep in %.0f ms: %s", found, ours.Seconds()*1000, theirs.Seconds()*1000, strings.Join(q.grep, " "))
			q.ratios, q.took = append(q.ratios, theirs.Seconds()/ours.Seconds()), append(q.took, ours.Seconds()*1000)
		}
	}
	for _, q := range all {
		w.add(q.name, "×", q.target, q.ratios)
		w.add("    milliseconds", "ms", "", q.took)
	}
	return nil
}

// ask opens the log and searches it, from cold files.
func (w *world) ask(ctx context.Context, q *question) (took time.Duration, found int, err error) {
	if err := evict(w.dir); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	r, err := w.open()
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	err = r.Search(ctx, &q.query, 0, w.sealed, func(uint64, []byte, *record.Record) error {
		found++
		return nil
	})
	return time.Since(began), found, err
}

// scan does the same by zstdcat and grep, in the C locale, where grep is fastest.
func (w *world) scan(ctx context.Context, q *question) (took time.Duration, lines int, err error) {
	if err := evict(w.lines); err != nil {
		return 0, 0, err
	}
	command := `zstdcat "$0"`
	for i := range q.grep {
		command += fmt.Sprintf(` | grep -F -- "${%d}"`, i+1)
	}
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", command + " | wc -l", w.lines}, q.grep...)...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	began := time.Now()
	out, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("zstdcat | grep: %w", err)
	}
	took = time.Since(began)
	lines, err = strconv.Atoi(string(bytes.TrimSpace(out)))
	return took, lines, err
}
