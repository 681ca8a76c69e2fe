package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/cmd/heyan/internal/saved"
	logv1 "github.com/heyan-project/heyan/proto/heyan/log/v1"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// listLog streams records to standard output, and to a file where there is one. It holds no more than one record.
func (a *app) listLog(ctx context.Context, request *heyanv1.ListLogEntriesRequest, save string, force bool) error {
	l := &listing{app: a, out: bufio.NewWriter(a.Out), follow: request.GetFollow()}
	if save != "" {
		return l.save(ctx, request, save, force)
	}
	if a.json() {
		l.lines = l.out
	}
	err := a.withStream(ctx, func(ctx context.Context, conn *dial.Connection) error { return l.run(ctx, conn, request) })
	return errors.Join(err, l.out.Flush())
}

// save writes a listing to a file, which is there only when it is complete. A file that was there is replaced with
// force, and then only by a complete one.
func (l *listing) save(ctx context.Context, request *heyanv1.ListLogEntriesRequest, path string, force bool) error {
	part, flags := path, os.O_WRONLY|os.O_CREATE|os.O_EXCL
	if force {
		part, flags = path+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC
	}
	file, err := os.OpenFile(part, flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usageError(path+" is there already", "--force replaces it")
	}
	if err != nil {
		return err
	}
	buffer := bufio.NewWriter(file)
	l.saving, l.lines, l.bar = true, buffer, output.NewProgress(l.app.progressOut(), l.app.Now, "saved", 0, output.Count)
	err = l.app.withStream(ctx, func(ctx context.Context, conn *dial.Connection) error { return l.run(ctx, conn, request) })
	l.bar.Done()
	if err = errors.Join(err, buffer.Flush(), file.Close()); err == nil && part != path {
		err = os.Rename(part, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	l.app.note("%s written to %s", countOf(int(l.count), "record"), path)
	return nil
}

// listing is one run of list or tail.
type listing struct {
	app    *app
	out    *bufio.Writer
	lines  io.Writer // JSON Lines go here; nil for a table
	bar    *output.Progress
	follow bool
	saving bool
	many   bool // of several origins: each is shown
	count  uint64

	missing []string
}

func (l *listing) run(ctx context.Context, conn *dial.Connection, request *heyanv1.ListLogEntriesRequest) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := heyanv1.NewLogServiceClient(conn).ListLogEntries(ctx, request)
	if err != nil {
		return err
	}
	for ended := false; ; {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && !ended && !l.follow:
			return &exitError{exitNo, "the listing ended without its checkpoint: it is not complete", ""}
		case errors.Is(err, io.EOF) && l.follow && ctx.Err() == nil:
			return &exitError{exitUnreachable, "the server ended the listing", "go on where it stopped: heyan log tail -f"}
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && l.follow && ctx.Err() != nil:
			return nil // interrupted, which is how following ends
		case err != nil:
			return err
		}
		if m.GetCheckpoint() != nil {
			if err := l.end(m, request); err != nil {
				return err
			}
			ended = true
			continue
		}
		if m.GetPosition() == nil {
			if err := l.begin(m); err != nil {
				return err
			}
			continue
		}
		if err := l.entry(m); err != nil {
			return err
		}
	}
}

// begin takes the message that tells which origins are read.
func (l *listing) begin(m *heyanv1.ListLogEntriesResponse) error {
	l.many = len(m.GetOrigins()) > 1
	if l.many && l.saving {
		return usageError("the server reads several logs, and a saved file is of one", "--origin names it; see: heyan log origins")
	}
	for _, origin := range m.GetMissingOrigins() {
		l.miss(origin)
	}
	return nil
}

// miss says that an origin's records, or some of them, are not in the listing.
func (l *listing) miss(origin string) {
	if !slices.Contains(l.missing, origin) {
		l.missing = append(l.missing, origin)
		l.app.note("not in this listing, or not wholly: %s, which the server cannot read; see: heyan log origins", origin)
	}
}

func (l *listing) entry(m *heyanv1.ListLogEntriesResponse) error {
	entry, record, err := saved.NewEntry(m)
	if err != nil {
		return &exitError{exitNo, err.Error(), "the listing does not hold together"}
	}
	l.count++
	l.bar.Add(1)
	if l.lines != nil {
		err = output.ValueLine(l.lines, entry)
	} else {
		if l.count == 1 {
			l.heading() // not before the server has let the caller read
		}
		_, err = fmt.Fprintln(l.out, l.line(entry, record))
	}
	if err != nil || !l.follow {
		return err
	}
	return l.out.Flush()
}

func (l *listing) end(m *heyanv1.ListLogEntriesResponse, request *heyanv1.ListLogEntriesRequest) error {
	if m.GetCount() != l.count {
		return &exitError{exitNo, fmt.Sprintf("the server listed %d records, %d arrived", m.GetCount(), l.count), ""}
	}
	for _, origin := range m.GetMissingOrigins() {
		l.miss(origin)
	}
	if l.lines != nil {
		return saved.WriteEnd(l.lines, m, request)
	}
	l.app.note("%s; checkpoint of %d at %s", countOf(int(l.count), "record"), m.GetCheckpoint().GetSize(),
		m.GetCheckpoint().GetOrigin())
	return nil
}

// columns of the table that is printed as it comes: each as wide as most of its cells are. The first is for listings of
// several origins only.
var entryColumns = []struct {
	name  string
	width int
}{{"ORIGIN", 24}, {"INDEX", 8}, {"TIME +08:00", 23}, {"EVENT", 26}, {"ACTOR", 18}, {"SOURCE", 21}, {"OUTCOME", 9}, {"DETAIL", 0}}

func (l *listing) heading() {
	names := make([]string, len(entryColumns))
	for i, column := range entryColumns {
		names[i] = column.name
	}
	fmt.Fprintln(l.out, l.columns(names))
}

func (l *listing) columns(cells []string) string {
	var line strings.Builder
	for i, cell := range cells {
		if i == 0 && !l.many {
			continue
		}
		cell = output.Clean(cell)
		line.WriteString(cell)
		if width := entryColumns[i].width; width > 0 {
			line.WriteString(strings.Repeat(" ", max(width-output.Width(cell), 0)) + "  ")
		}
	}
	return strings.TrimRight(line.String(), " ")
}

func (l *listing) line(entry saved.Entry, r *logv1.Record) string {
	actor := r.GetActor().GetId()
	if actor == "" {
		actor = strings.ToLower(strings.TrimPrefix(r.GetActor().GetKind().String(), "ACTOR_KIND_"))
	}
	source := r.GetSource().GetIp()
	if source != "" && r.GetSource().GetPort() > 0 {
		source = fmt.Sprintf("%s:%d", source, r.GetSource().GetPort())
	}
	p := r.GetProcessing()
	var detail []string
	if via := r.GetVia().GetIp(); via != "" {
		detail = append(detail, "via "+via)
	}
	if t := r.GetTotals(); t != nil {
		detail = append(detail, totalsDetail(t))
	}
	for _, word := range []string{r.GetOutcome().GetReason(), p.GetProduct(), p.GetVerdict(), p.GetBilling(),
		strings.TrimSpace(r.GetObject().GetType() + " " + r.GetObject().GetId()), r.GetSecurity().GetAttack(), entry.AmendedBy} {
		if word != "" {
			detail = append(detail, word)
		}
	}
	at := time.Unix(0, int64(r.GetTimeUnixNano())).In(beijing).Format("2006-01-02 15:04:05.000")
	return l.columns([]string{entry.Origin, fmt.Sprint(entry.Index), at, r.GetEvent(), actor, source,
		strings.TrimPrefix(r.GetOutcome().GetKind().String(), "OUTCOME_KIND_"), strings.Join(detail, " ")})
}

// totalsDetail says what a record of totals counts.
func totalsDetail(t *logv1.Totals) string {
	var records uint64
	for _, g := range t.GetGroups() {
		records += g.GetCount()
	}
	text := fmt.Sprintf("counts %d to %d: %s in %s", t.GetFrom(), t.GetTo()-1, countOf(int(records), "record"), countOf(len(t.GetGroups()), "group"))
	if t.GetParts() > 1 {
		text += fmt.Sprintf(", part %d of %d", t.GetPart(), t.GetParts())
	}
	return text
}

// getLog prints one record.
func (a *app) getLog(ctx context.Context, origin string, index uint64) error {
	return a.with(ctx, func(ctx context.Context, conn *dial.Connection) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := heyanv1.NewLogServiceClient(conn).ListLogEntries(ctx,
			&heyanv1.ListLogEntriesRequest{Origin: origin, StartIndex: index, EndIndex: index + 1, Limit: 1})
		if err != nil {
			return err
		}
		m, err := stream.Recv()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if m.GetPosition() == nil {
			return &exitError{exitNo, "the log has no record of this index", "see what it holds: heyan log coverage"}
		}
		if m.GetPosition().GetOrigin() != origin || m.GetPosition().GetIndex() != index {
			return &exitError{exitNo, "the server sent a record of another place", ""}
		}
		return a.printEntry(m)
	})
}

// printEntry prints one record, with all that it says.
func (a *app) printEntry(m *heyanv1.ListLogEntriesResponse) error {
	entry, record, err := saved.NewEntry(m)
	if err != nil {
		return &exitError{exitNo, err.Error(), ""}
	}
	if a.json() {
		return output.Value(a.Out, entry)
	}
	table := output.NewTable()
	table.Row("origin", entry.Origin)
	table.Row("index", fmt.Sprint(entry.Index))
	table.Row("time", time.Unix(0, int64(record.GetTimeUnixNano())).In(beijing).Format(time.RFC3339Nano))
	flatten(table, "", record.ProtoReflect())
	if entry.AmendedBy != "" {
		table.Row("amended by", entry.AmendedBy)
	}
	table.Row("leaf hash", base64.StdEncoding.EncodeToString(entry.LeafHash))
	_, err = table.WriteTo(a.Out)
	return err
}

// flatten adds every member that is set as a row, "actor.id".
func flatten(table *output.Table, prefix string, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) || prefix == "" && fd.Name() == "time_unix_nano" {
			continue
		}
		name := prefix + string(fd.Name())
		if fd.IsList() {
			list := m.Get(fd).List()
			for j := range list.Len() {
				flattenValue(table, fmt.Sprintf("%s[%d]", name, j), fd, list.Get(j))
			}
			continue
		}
		flattenValue(table, name, fd, m.Get(fd))
	}
}

func flattenValue(table *output.Table, name string, fd protoreflect.FieldDescriptor, value protoreflect.Value) {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		flatten(table, name+".", value.Message())
	case protoreflect.BytesKind:
		table.Row(name, hex.EncodeToString(value.Bytes()))
	case protoreflect.EnumKind:
		text := fmt.Sprint(value.Enum())
		if known := fd.Enum().Values().ByNumber(value.Enum()); known != nil {
			text = strings.TrimPrefix(string(known.Name()), enumPrefix(fd.Enum().Values()))
		}
		table.Row(name, text)
	default:
		table.Row(strings.TrimSuffix(strings.TrimSuffix(name, "_unix_nano"), "_nanos"), numberText(name, value))
	}
}

// numberText prints a number by the unit that its name ends with.
func numberText(name string, value protoreflect.Value) string {
	switch n := value.Interface().(type) {
	case uint64:
		switch {
		case strings.HasSuffix(name, "_unix_nano"):
			return time.Unix(0, int64(n)).In(beijing).Format(time.RFC3339Nano)
		case strings.HasSuffix(name, "_nanos"):
			return time.Duration(n).String()
		}
	case int64:
		if strings.HasSuffix(name, "_nanos") {
			return time.Duration(n).String()
		}
	}
	return value.String()
}
