package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/local"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/retention"
)

// localCoverage is what `log coverage PATH...` answers.
type localCoverage struct {
	Logs         []coveredLog `json:"logs"`
	Oldest       string       `json:"oldest,omitempty"`
	Newest       string       `json:"newest,omitempty"`
	RequiredFrom string       `json:"required_from"`
	Shortfall    int          `json:"shortfall_days"`
	Gaps         []coveredGap `json:"gaps"`
	NotGiven     []string     `json:"not_given"`  // origins that one of the logs follows
	Unreadable   []string     `json:"unreadable"` // paths
}

type coveredLog struct {
	Path    string `json:"path"`
	Kind    string `json:"kind"`
	Origin  string `json:"origin"`
	First   uint64 `json:"first_index"`
	End     uint64 `json:"end_index"`
	Records uint64 `json:"records"`
	Oldest  string `json:"oldest,omitempty"`
	Newest  string `json:"newest,omitempty"`
	Part    bool   `json:"part"` // a filter left records out: it covers no time
}

type coveredGap struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Before string `json:"before"` // the origin that begins then
}

// coverLocal says what time logs that lie here cover together.
func (a *app) coverLocal(ctx context.Context, paths, sealKeys []string) error {
	l, err := a.openLocals(paths, sealKeys)
	if err != nil {
		return err
	}
	answer := &localCoverage{Logs: []coveredLog{}, Gaps: []coveredGap{}, NotGiven: []string{}, Unreadable: []string{}}
	spans, err := l.spans(ctx, answer)
	if err != nil {
		return l.answer(err)
	}
	judged := retention.Cover(spans, time.Time{}, a.Now())
	answer.Oldest, answer.Newest, answer.RequiredFrom, answer.Shortfall = zoned(judged.Oldest), zoned(judged.Newest), judged.RequiredFrom.String(), judged.Shortfall
	for _, s := range judged.Silences {
		answer.Gaps = append(answer.Gaps, coveredGap{zoned(s.From), zoned(s.To), s.Before})
	}
	links, err := origins.Links(ctx, l.trees())
	if err != nil {
		return l.answer(err)
	}
	for _, link := range links {
		known := slices.ContainsFunc(l.sources, func(s *local.Source) bool { return s.Origin == link.Predecessor })
		if link.Predecessor != "" && !known {
			answer.NotGiven = append(answer.NotGiven, link.Predecessor)
		}
	}
	answer.Unreadable = append(answer.Unreadable, l.failed...)
	if a.json() {
		err = output.Value(a.Out, answer)
	} else {
		err = answer.print(a)
	}
	if err == nil && (answer.Shortfall > 0 || len(answer.NotGiven) > 0) {
		err = errNo
	}
	return l.answer(err)
}

// spans reads what each source holds.
func (l *locals) spans(ctx context.Context, answer *localCoverage) ([]retention.Span, error) {
	var spans []retention.Span
	for _, s := range l.sources {
		c, err := s.Coverage(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			l.miss(s.Path, err)
		}
		answer.Logs = append(answer.Logs, coveredLog{s.Path, s.Kind, s.Origin, c.First, c.End, c.Count, zoned(c.Oldest), zoned(c.Newest), s.Part})
		if !s.Part {
			spans = append(spans, retention.Span{Origin: s.Origin, Oldest: c.Oldest, Newest: c.Newest})
		}
	}
	return spans, nil
}

// zoned prints a time at +08:00; empty for none.
func zoned(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(beijing).Format(time.RFC3339)
}

func (c *localCoverage) print(a *app) error {
	logs := output.NewTable("ORIGIN", "INDEXES", "RECORDS", "OLDEST", "NEWEST", "WHAT", "PATH")
	for _, log := range c.Logs {
		what := log.Kind
		if log.Part {
			what += ", filtered"
		}
		logs.Row(log.Origin, fmt.Sprintf("%d to %d", log.First, log.End), output.Count(int64(log.Records)), log.Oldest, log.Newest, what, log.Path)
	}
	table := output.NewTable()
	table.Row("oldest", c.Oldest)
	table.Row("newest", c.Newest)
	table.Row("required from", c.RequiredFrom)
	table.Row("missing days", output.Count(int64(c.Shortfall)))
	for _, g := range c.Gaps {
		table.Row("gap", fmt.Sprintf("%s to %s: no record, before %s began", g.From, g.To, g.Before))
	}
	for _, origin := range c.NotGiven {
		table.Row("not given", origin+", which one of them follows")
	}
	for _, path := range c.Unreadable {
		table.Row("cannot be read", path)
	}
	_, first := logs.WriteTo(a.Out)
	fmt.Fprintln(a.Out)
	_, second := table.WriteTo(a.Out)
	return errors.Join(first, second)
}
