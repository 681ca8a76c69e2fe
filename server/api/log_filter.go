package api

import (
	"context"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/origins"
)

// LogFilter is a filter of log records for those who read a log without a server, so that both mean the same by it.
type LogFilter struct{ query *logQuery }

// NewLogFilter reads a filter. What no record could pass is refused as the LogService refuses it, by a *fault.Fault.
func NewLogFilter(p *heyanv1.LogFilter) (*LogFilter, error) {
	query, f := queryOf(p)
	if f != nil {
		return nil, f
	}
	return &LogFilter{query}, nil
}

// Read calls fn with the records of [from, to) that pass, in order; it reads what may hold one.
func (f *LogFilter) Read(ctx context.Context, log origins.Records, from, to uint64, fn func(index uint64, leaf []byte) error) error {
	return f.query.scan(ctx, log, from, to, fn)
}

// Passes tells whether a record passes.
func (f *LogFilter) Passes(leaf []byte) (bool, error) { return f.query.passes(leaf) }
