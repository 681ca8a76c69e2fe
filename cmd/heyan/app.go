package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
)

// app is one run: its surroundings, the global flags, and what the subcommands share.
type app struct {
	streams
	args []string // as given, for hints that repeat the command

	profile string
	target  profile.Profile
	timeout time.Duration
	output  string
	quiet   bool

	command   *cobra.Command // the one that runs, once its flags are read
	submitted []string       // values that went to a server: no error may show them
	requestID string         // of a verification, for the hint to retry
}

// json reports whether answers are printed for a program.
func (a *app) json() bool { return a.output == "json" }

// resolve merges flags, environment and profile; dir is the profile's directory, "" without one.
func (a *app) resolve() (target profile.Layer, dir string, err error) {
	name := a.profile
	if name == "" {
		name, _ = a.Env("HEYAN_PROFILE")
	}
	stored, dir, err := profile.Find(name, a.Env)
	if err != nil {
		return profile.Layer{}, "", err
	}
	flags, environment := profile.Layer{Profile: a.target}, profile.Environment(a.Env)
	return profile.Resolve(flags, environment, profile.Layer{Profile: stored}), dir, nil
}

// connect opens the connection that flags, environment and profile state.
func (a *app) connect() (*dial.Connection, error) {
	target, _, err := a.resolve()
	if err != nil {
		return nil, err
	}
	return dial.Open(target, buildVersion())
}

// with connects and gives do until --timeout.
func (a *app) with(ctx context.Context, do func(context.Context, *dial.Connection) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return a.withStream(ctx, do)
}

// withStream connects and gives do as long as it takes.
func (a *app) withStream(ctx context.Context, do func(context.Context, *dial.Connection) error) error {
	conn, err := a.connect()
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, conn), conn.Close())
}

// print writes an answer: proto JSON for a program, else the table.
func (a *app) print(m proto.Message, table *output.Table) error {
	if a.json() {
		return output.JSON(a.Out, m)
	}
	_, err := table.WriteTo(a.Out)
	return err
}

// note writes a remark for people, unless --quiet or -o json.
func (a *app) note(format string, args ...any) {
	if !a.quiet && !a.json() {
		fmt.Fprintln(a.Err, output.Clean(fmt.Sprintf(format, args...)))
	}
}

// logged remarks where the network log holds the call just made.
func (a *app) logged(conn *dial.Connection) {
	if entry := conn.LogEntry(); entry != "" {
		a.note("log entry %s", entry)
	}
}

// confirm asks a yes-or-no question. Anything but y or yes is no.
func (a *app) confirm(question string) (bool, error) {
	fmt.Fprint(a.Err, output.Clean(question)+" [y/N] ")
	answer, err := bufio.NewReader(a.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if !output.Terminal(a.In) {
		fmt.Fprintln(a.Err) // nobody pressed the key that ends the line
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}

// newID returns a random identifier of 128 bits in hexadecimal after a prefix.
func (a *app) newID(prefix string) (string, error) {
	var raw [16]byte
	if _, err := io.ReadFull(a.Rand, raw[:]); err != nil {
		return "", err
	}
	return prefix + hex.EncodeToString(raw[:]), nil
}

// pages reads every page of a listing. A server that gives the same token twice would never end.
func pages[T any](fetch func(token string) ([]T, string, error)) ([]T, error) {
	all := make([]T, 0)
	seen := map[string]bool{}
	for token := ""; ; {
		page, next, err := fetch(token)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if next == "" {
			return all, nil
		}
		if seen[next] {
			return nil, errors.New("the server repeats a page of the listing")
		}
		seen[next], token = true, next
	}
}

// beijing is where days begin and end. The law's calendar has no other zone and no daylight saving time.
var beijing = time.FixedZone("+08:00", 8*60*60)

// when prints a time to the second at +08:00, "" for none.
func when(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().In(beijing).Format("2006-01-02 15:04:05")
}

// mark prints a flag in a table.
func mark(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// stamp is a time in a message.
func stamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }

// joinClose closes c and returns what failed first.
func joinClose(err error, c io.Closer) error { return errors.Join(err, c.Close()) }

// callEntry is the log entry of a call that failed.
func callEntry(err error) string {
	var call *dial.CallError
	if errors.As(err, &call) {
		return call.LogEntry
	}
	return ""
}

// pageSize is how much of a listing is asked for at once.
const pageSize = 1000

// whenZoned is when with its zone, for times that stand alone; a table says the zone in the heading of its first time.
func whenZoned(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return when(t) + " " + beijing.String()
}

// minute is when, to the minute: for times that are kept no more precisely.
func minute(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().In(beijing).Format("2006-01-02 15:04")
}

// sure asks before what cannot be taken back. A "no" ends the run with exit code 1.
func (a *app) sure(yes bool, question string) error {
	if yes {
		return nil
	}
	agreed, err := a.confirm(question)
	if err != nil {
		return err
	}
	if !agreed {
		return &exitError{exitNo, "not done", "--yes does it without asking"}
	}
	return nil
}
