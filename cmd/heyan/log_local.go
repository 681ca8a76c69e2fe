package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/cmd/heyan/internal/local"
	"github.com/heyan-project/heyan/cmd/heyan/internal/saved"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/api"
	"github.com/heyan-project/heyan/store/netlog/origins"
)

// anyPaths takes any number of paths.
func anyPaths() cobra.PositionalArgs { return cobra.ArbitraryArgs }

func addSealKeys(cmd *cobra.Command, target *[]string) {
	cmd.Flags().StringSliceVar(target, "seal-key", nil, "with a log directory: file of the key that opens sealed records; repeatable")
}

func readSealKeys(files []string) ([][]byte, error) {
	var keys [][]byte
	for _, file := range files {
		key, err := keyfile.Read(file, keyfile.LogSeal)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// locals are logs that lie here, and are read without a server.
type locals struct {
	*app
	sources []*local.Source
	failed  []string // paths that cannot be read, or not to their end
}

// openLocals opens what lies at some paths. One that cannot be read is named, and the others are read.
func (a *app) openLocals(paths, sealKeys []string) (*locals, error) {
	keys, err := readSealKeys(sealKeys)
	if err != nil {
		return nil, err
	}
	l := &locals{app: a}
	for _, path := range paths {
		source, err := local.Open(path, keys)
		if err != nil {
			l.miss(path, err)
			continue
		}
		for _, other := range l.sources {
			if other.Origin == source.Origin {
				a.note("%s is of the same log as %s: each record is shown once", path, other.Path)
				break
			}
		}
		l.sources = append(l.sources, source)
	}
	return l, nil
}

// miss names what cannot be read.
func (l *locals) miss(path string, err error) {
	l.note("%s cannot be read, or not to its end: %s", path, inOneLine(err))
	if !slices.Contains(l.failed, path) {
		l.failed = append(l.failed, path)
	}
}

// broken names the sources of an origin that ended before its end.
func (l *locals) broken(all []origins.Broken) {
	for _, b := range all {
		for _, s := range l.sources {
			if s.Origin == b.Origin {
				l.miss(s.Path, b.Err)
			}
		}
	}
}

// only keeps the sources of one log; empty = all.
func (l *locals) only(origin string) error {
	if origin == "" {
		return nil
	}
	l.sources = slices.DeleteFunc(l.sources, func(s *local.Source) bool {
		return s.Origin != origin && s.Close() == nil
	})
	if len(l.sources) == 0 {
		return &exitError{exitNo, "none of the paths holds records of this log", "heyan log coverage PATH... says what they hold"}
	}
	return nil
}

// origins returns how many logs there are.
func (l *locals) origins() int {
	seen := map[string]bool{}
	for _, s := range l.sources {
		seen[s.Origin] = true
	}
	return len(seen)
}

func (l *locals) close() error {
	var errs []error
	for _, s := range l.sources {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// answer is "no" where something could not be read.
func (l *locals) answer(err error) error {
	err = errors.Join(err, l.close())
	if err == nil && len(l.failed) > 0 {
		return errNo
	}
	return err
}

// message makes of a record what a server sends of it.
func (l *locals) message(e origins.Entry) *heyanv1.ListLogEntriesResponse {
	m := &heyanv1.ListLogEntriesResponse{Position: &heyanv1.LogPosition{Origin: e.Origin, Index: e.Index}, Leaf: e.Leaf}
	for _, s := range l.sources {
		if s.Origin == e.Origin {
			if event := s.Amended(e.Index); event != "" {
				m.AmendedBy = event
			}
		}
	}
	return m
}

// logFilter reads a filter as a server does.
func logFilter(p *heyanv1.LogFilter) (*api.LogFilter, error) {
	filter, err := api.NewLogFilter(p)
	if err != nil {
		return nil, usageError(err.Error(), "see: heyan log list --help")
	}
	return filter, nil
}

// errEnough ends a listing at its limit.
var errEnough = errors.New("enough")

// listLocal lists records of logs that lie here, by time.
func (a *app) listLocal(ctx context.Context, request *heyanv1.ListLogEntriesRequest, paths, sealKeys []string) error {
	filter, err := logFilter(request.GetFilter())
	if err != nil {
		return err
	}
	l, err := a.openLocals(paths, sealKeys)
	if err != nil {
		return err
	}
	if err := l.only(request.GetOrigin()); err != nil {
		return err
	}
	to := request.GetEndIndex()
	if to == 0 {
		to = math.MaxUint64
	}
	if l.origins() > 1 && (request.GetStartIndex() > 0 || request.GetEndIndex() > 0) {
		return l.answer(usageError("--start-index and --end-index are of one log", "--origin names it"))
	}
	out := &listing{app: a, out: bufio.NewWriter(a.Out), many: l.origins() > 1}
	if a.json() {
		out.lines = out.out
	}
	broken, err := origins.Merge(ctx, local.Streams(l.sources, filter, request.GetStartIndex(), to), func(e origins.Entry) error {
		if err := out.entry(l.message(e)); err != nil {
			return err
		}
		if out.count == request.GetLimit() {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	l.broken(broken)
	if err == nil && out.lines != nil {
		err = saved.WriteEnd(out.lines, &heyanv1.ListLogEntriesResponse{Count: out.count, MissingOrigins: l.failed}, request)
	} else if err == nil {
		a.note("%s of %s; what they show is not proven: heyan log verify PATH", countOf(int(out.count), "record"), countOf(l.origins(), "log"))
	}
	return l.answer(errors.Join(err, out.out.Flush()))
}

// getLocal prints one record of a log that lies here.
func (a *app) getLocal(ctx context.Context, origin string, index uint64, paths, sealKeys []string) error {
	filter, err := logFilter(nil)
	if err != nil {
		return err
	}
	l, err := a.openLocals(paths, sealKeys)
	if err != nil {
		return err
	}
	if err := l.only(origin); err != nil {
		return err
	}
	var found *heyanv1.ListLogEntriesResponse
	broken, err := origins.Merge(ctx, local.Streams(l.sources, filter, index, index+1), func(e origins.Entry) error {
		found = l.message(e)
		found.Leaf = slices.Clone(found.GetLeaf())
		return nil
	})
	l.broken(broken)
	if err == nil && found == nil {
		err = &exitError{exitNo, fmt.Sprintf("no record of this index in %s", countOf(len(paths), "path")), "heyan log coverage PATH... says what they hold"}
	}
	if err == nil {
		err = a.printEntry(found)
	}
	return l.answer(err)
}

// trees are the logs that can be compared with each other.
func (l *locals) trees() []origins.Tree {
	var all []origins.Tree
	for _, s := range l.sources {
		if s.Log != nil {
			all = append(all, s.Log)
		}
	}
	return all
}
