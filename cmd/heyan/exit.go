package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"google.golang.org/grpc/status"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
)

// Exit codes.
const (
	exitOK          = 0
	exitNo          = 1 // the answer is "no"
	exitUsage       = 2 // the command line, or a local file
	exitRefused     = 3 // the server refused
	exitUnreachable = 4 // the server gave no answer
)

// exitError ends a run with a code, and with text where it has any.
type exitError struct {
	code int
	text string
	hint string
}

// Error implements error.
func (e *exitError) Error() string { return e.text }

// errNo ends a run whose answer, printed already, is "no".
var errNo = &exitError{code: exitNo}

// usageError is a mistake of the caller. Neither part may hold a value of a field.
func usageError(text, hint string) error { return &exitError{code: exitUsage, text: text, hint: hint} }

// report prints what ended a run and returns its exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitOK
	}
	if a.command == nil && wantsJSON(a.args) {
		a.output = "json"
	}
	var end *exitError
	if errors.As(err, &end) {
		return a.end(end.code, end.text, end.hint)
	}
	var call *dial.CallError
	if errors.As(err, &call) {
		return a.refused(refusalOf(call.Status, call.LogEntry))
	}
	if answer, ok := status.FromError(err); ok {
		return a.refused(refusalOf(answer, ""))
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return a.end(exitUnreachable, "interrupted before there was an answer", "")
	case errors.Is(err, dial.ErrNoAddress):
		return a.end(exitUsage, "no server to call", "name one by --profile, --address or HEYAN_ADDRESS, or start one here: heyan serve --dev")
	case errors.Is(err, profile.ErrUnknown):
		return a.end(exitUsage, err.Error(), "profiles are looked for in: "+fmt.Sprint(profile.Paths(a.Env)))
	}
	return a.end(exitUsage, localText(err), "")
}

// localText is what is said of an error of this machine. Errors of the file system name a path, and others are made
// by this program; both are free of values.
func localText(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Path + ": " + path.Err.Error()
	}
	return err.Error()
}

// localError is an error of this machine as -o json prints it.
type localError struct {
	ExitCode int      `json:"exit_code"`
	Message  string   `json:"message"`
	Next     []string `json:"next,omitempty"`
}

// end prints what ended a run without a server's answer, and returns the exit code.
func (a *app) end(code int, text, hint string) int {
	if text == "" || !a.json() {
		a.complain(text, hint)
		return code
	}
	said := localError{ExitCode: code, Message: output.Clean(text)}
	if hint != "" {
		said.Next = []string{output.Clean(hint)}
	}
	if err := output.ValueLine(a.Err, map[string]localError{"error": said}); err != nil {
		return exitUsage
	}
	return code
}

// wantsJSON reports whether a command line that could not be read to its end asks for JSON.
func wantsJSON(args []string) bool {
	for i, arg := range args {
		switch arg {
		case "--output=json", "-o=json", "-ojson":
			return true
		case "--output", "-o":
			if i+1 < len(args) && args[i+1] == "json" {
				return true
			}
		}
	}
	return false
}

func (a *app) complain(text, hint string) {
	if text != "" {
		fmt.Fprintln(a.Err, "heyan: "+output.Clean(text))
	}
	if hint != "" {
		fmt.Fprintln(a.Err, "  "+hint)
	}
}

// countOf is "1 row", "2 rows".
func countOf(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return output.Count(int64(n)) + " " + noun + "s"
}
