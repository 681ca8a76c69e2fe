package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/role"
)

// refusal is a server's refusal, or the absence of an answer, as it is shown. Its JSON form is what --jsonl and
// -o json print.
type refusal struct {
	ExitCode   int               `json:"exit_code,omitempty"` // not in --jsonl
	Code       string            `json:"code"`                // name of google.rpc.Code
	Reason     string            `json:"reason,omitempty"`
	Handling   string            `json:"handling,omitempty"`
	Fields     []violation       `json:"fields,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	RetryAfter string            `json:"retry_after,omitempty"`
	LogEntry   string            `json:"log_entry,omitempty"`
	Message    string            `json:"message,omitempty"` // not in --jsonl
	Next       []string          `json:"next,omitempty"`    // not in --jsonl

	grpc    codes.Code
	message string // the server's own sentence
	chinese string // the server's sentence in Chinese
}

// violation names a member of the request.
type violation struct {
	Field string `json:"field"`
	Cause string `json:"cause,omitempty"`
	Flag  string `json:"flag,omitempty"` // of the command that was refused, where one states the member
}

// refusalOf reads a status. entry is the trailer's log entry, "" where the ErrorInfo may have it.
func refusalOf(s *status.Status, entry string) refusal {
	r := refusal{
		Code: codeName(s.Code()), grpc: s.Code(), message: s.Message(), LogEntry: output.Clean(entry),
	}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == "heyan" {
				r.info(d)
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				cause := v.GetReason()
				if cause == "" {
					cause = v.GetDescription()
				}
				r.Fields = append(r.Fields, violation{Field: output.Clean(v.GetField()), Cause: output.Clean(cause)})
			}
		case *errdetails.RetryInfo:
			r.RetryAfter = d.GetRetryDelay().AsDuration().String()
		case *errdetails.LocalizedMessage:
			r.chinese = d.GetMessage()
		}
	}
	return r
}

func (r *refusal) info(d *errdetails.ErrorInfo) {
	r.Reason = output.Clean(d.GetReason())
	for name, value := range d.GetMetadata() {
		value = output.Clean(value)
		switch name {
		case "handling":
			r.Handling = value
		case "log_entry":
			if r.LogEntry == "" {
				r.LogEntry = value
			}
		default:
			if r.Metadata == nil {
				r.Metadata = map[string]string{}
			}
			r.Metadata[output.Clean(name)] = value
		}
	}
}

// answered reports whether a Heyan server said this. What gRPC says of a connection has no reason.
func (r *refusal) answered() bool {
	if r.Reason != "" {
		return true
	}
	switch r.grpc {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return false
	}
	return true
}

func codeName(c codes.Code) string { return code.Code(c).String() }

// rowOf finds a reason in the table that server and command line share; nil for one of a newer server.
func rowOf(reason string) *fault.Row {
	for _, r := range fault.Reasons() {
		if r.String() == reason {
			return r.Row()
		}
	}
	return nil
}

// refused prints a refusal to standard error and returns the exit code.
func (a *app) refused(r refusal) int {
	r = r.scrub(a.submitted)
	exit := exitRefused
	if !r.answered() {
		exit = exitUnreachable
	}
	for i := range r.Fields {
		r.Fields[i].Flag = a.flagOf(r.Fields[i].Field)
	}
	if a.json() {
		r.ExitCode, r.Message, r.Next = exit, output.Clean(r.message), a.next(r)
		if exit == exitUnreachable {
			r.Next = a.nextUnreachable(r)
		}
		if err := output.ValueLine(a.Err, map[string]refusal{"error": r}); err != nil {
			return exitUsage
		}
		return exit
	}
	if exit == exitUnreachable {
		a.unreachable(r)
		return exit
	}
	a.explain(r)
	return exit
}

func (a *app) unreachable(r refusal) {
	target, _, _ := a.resolve()
	where := target.Address
	if where == "" {
		where = "the server"
	}
	a.complain(fmt.Sprintf("no answer from %s: %s", where, r.Code), "")
	if r.message != "" {
		fmt.Fprintln(a.Err, "  "+output.Clean(r.message))
	}
	for i, hint := range a.nextUnreachable(r) {
		fmt.Fprintln(a.Err, []string{"  next       ", "  retry      "}[i]+hint)
	}
}

// nextUnreachable is what to do where there was no answer, and how to send the same request again.
func (a *app) nextUnreachable(r refusal) []string {
	next := []string{"is it running, and are --address and --ca-file right? heyan healthcheck asks"}
	if r.grpc == codes.DeadlineExceeded {
		next[0] = "wait longer: --timeout 30s"
	}
	if a.requestID != "" {
		next = append(next, "with --request-id "+a.requestID+": a request that was answered is not billed twice")
	}
	return next
}

// otherFlags are the flags whose names do not follow from those of the members that they state.
var otherFlags = map[string]string{
	"display_name": "name", "rate_per_second": "rate", "person_id": "person", "subject_alt_name": "san", "issuer_sha256": "issuer",
	"start_time": "from", "end_time": "to",
}

// flagOf is the flag of the command that ran by which a member of the request is stated, "" for none. The six fields have
// flags too, but are better read from standard input.
func (a *app) flagOf(member string) string {
	if a.command == nil {
		return ""
	}
	name, _, _ := strings.Cut(member[strings.LastIndex(member, ".")+1:], "[")
	if _, isField := field.KindByName(name); isField {
		return ""
	}
	plain := strings.ReplaceAll(name, "_", "-")
	for _, flag := range []string{
		otherFlags[name], plain, strings.TrimSuffix(plain, "s"), strings.TrimSuffix(plain, "-time"), strings.TrimSuffix(plain, "-id"),
	} {
		if f := a.command.Flags().Lookup(flag); flag != "" && f != nil && !f.Hidden {
			return "--" + f.Name
		}
	}
	return ""
}

// explain prints a refusal for a person: what, why, where, what to do.
func (a *app) explain(r refusal) {
	row := rowOf(r.Reason)
	title := strings.TrimSpace(r.Code + " " + r.Reason)
	chinese := r.chinese
	if row != nil {
		chinese = row.Chinese
	}
	if chinese != "" {
		title += " " + output.Clean(chinese)
	}
	fmt.Fprintln(a.Err, "heyan: refused: "+title)
	table := output.NewTable()
	switch {
	case row != nil:
		table.Row("  cause", row.Cause)
	case r.message != "":
		table.Row("  cause", r.message)
	}
	for _, v := range r.Fields {
		text := strings.TrimSpace(v.Field + " " + v.Cause)
		if v.Flag != "" {
			text += " (" + v.Flag + ")"
		}
		table.Row("  field", text)
	}
	for _, name := range sortedKeys(r.Metadata) {
		table.Row("  "+name, r.Metadata[name])
	}
	if row != nil {
		if cause := r.cause("approval"); cause == "" || cause == role.CauseWaiting {
			table.Row("  remedy", row.Remedy) // else nobody has to approve anything; what to do is said below
		}
		if r.message != "" && !strings.Contains(r.message, row.Cause) {
			table.Row("  server says", r.message)
		}
	}
	if r.Handling != "" {
		table.Row("  handling", handlingText(r.Handling))
	}
	if r.RetryAfter != "" {
		table.Row("  retry after", r.RetryAfter)
	}
	if r.LogEntry != "" {
		table.Row("  log entry", r.LogEntry)
	}
	for _, step := range a.next(r) {
		table.Row("  next", step)
	}
	_, _ = table.WriteTo(a.Err)
}

func handlingText(handling string) string {
	switch handling {
	case "FIX_REQUEST":
		return handling + ": change the request, then send it under a new request_id"
	case "FIX_CONSENT":
		return handling + ": obtain or renew the person's consent first"
	case "ASK_OPERATOR":
		return handling + ": somebody has to change something in Heyan first"
	case "RETRY_SAME_ID":
		return handling + ": send the same request again, under the same request_id"
	}
	return handling
}

// scrub drops every text of a server that repeats one of values. A Heyan server never sends one; another program at
// its address might.
func (r refusal) scrub(values []string) refusal {
	clean := func(text *string) { *text = withheld(*text, values) }
	for _, text := range []*string{&r.message, &r.chinese, &r.Reason, &r.Handling, &r.LogEntry} {
		clean(text)
	}
	r.Fields = slices.Clone(r.Fields)
	for i := range r.Fields {
		clean(&r.Fields[i].Field)
		clean(&r.Fields[i].Cause)
	}
	metadata := r.Metadata
	r.Metadata = nil
	for name, value := range metadata {
		if r.Metadata == nil {
			r.Metadata = make(map[string]string, len(metadata))
		}
		r.Metadata[withheld(name, values)] = withheld(value, values)
	}
	return r
}

// withheld returns text, or a placeholder where it holds one of values. Values of one character would hide
// everything; no field has them.
func withheld(text string, values []string) string {
	for _, value := range values {
		if len([]rune(value)) > 1 && strings.Contains(text, value) {
			return "[withheld: repeats a submitted value]"
		}
	}
	return text
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
