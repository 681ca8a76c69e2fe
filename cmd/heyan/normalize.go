package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/jsonl"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/verifier/field"
)

// normalized is the answer for one value.
type normalized struct {
	Valid     bool      `json:"valid"`
	Canonical *string   `json:"canonical,omitempty"`
	Warnings  *[]string `json:"warnings,omitempty"`
	Reason    string    `json:"reason,omitempty"`
}

func normalizeCommand(a *app) *cobra.Command {
	var kind field.Kind
	var lines bool
	cmd := &cobra.Command{
		Use:   "normalize --field FIELD [VALUE]",
		Short: "Show how a value is read, or why it is refused",
		Long: `Normalize reads a value as the server does, on this machine: it calls nobody. The value stands on standard input, or
as an argument, where other users of the machine can see it. Exit code 0 means that the value is valid, 1 that it is not.

With --jsonl, a line of standard input is {"field":"phone_number","value":"…"}, and a line of standard output is
{"valid":true,"canonical":"…","warnings":[]} or {"valid":false,"reason":"CHECK_DIGIT"}, in the same order.`,
		Example: `  heyan normalize --field phone_number '+86 138-0013-8000'
  heyan normalize --field name < name.txt
  heyan normalize --jsonl < values.jsonl`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) == 1 && !lines {
				return nil
			}
			return usageError("wants one value at most, and none with --jsonl", "see: heyan normalize --help")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if lines {
				return a.normalizeLines(cmd.Context())
			}
			if !kind.Valid() {
				return usageError("--field is missing", "it is one of "+strings.Join(kindNames(), ", "))
			}
			return a.normalizeOne(kind, args)
		},
	}
	cmd.Flags().Var(kindFlag{&kind}, "field", "one of "+strings.Join(kindNames(), ", "))
	cmd.Flags().BoolVar(&lines, "jsonl", false, "many values, a line each")
	complete(cmd, "field", kindNames()...)
	return cmd
}

func (a *app) normalizeOne(kind field.Kind, args []string) error {
	var value string
	if len(args) == 1 {
		value = args[0]
	} else {
		// One byte more than any value may have, and a line end: enough to tell that it is too long.
		raw, err := io.ReadAll(io.LimitReader(a.In, jsonl.MaxLine))
		if err != nil {
			return err
		}
		value = strings.TrimRight(string(raw), "\r\n")
	}
	answer := a.normalize(kind, value)
	if err := output.ValueLine(a.Out, answer); err != nil {
		return err
	}
	if !answer.Valid {
		return errNo
	}
	return nil
}

func (a *app) normalize(kind field.Kind, value string) normalized {
	var rules *field.Rules // the built-in ones
	parsed, err := rules.Parse(kind, value, a.Now())
	if err != nil {
		cause, _ := field.CauseOf(err)
		return normalized{Reason: cause.String()}
	}
	canonical, warnings := parsed.Canonical().Reveal(), []string{}
	for _, warning := range parsed.Warnings() {
		warnings = append(warnings, warning.String())
	}
	return normalized{Valid: true, Canonical: &canonical, Warnings: &warnings}
}

func (a *app) normalizeLines(ctx context.Context) error {
	const workers = 2 // reading a value takes a microsecond; the pipe is what takes time
	return jsonl.Each(ctx, a.In, a.Out, workers, func(_ context.Context, line []byte, err error) []byte {
		answer, failed := json.Marshal(a.normalizeLine(line, err))
		if failed != nil {
			panic("heyan: " + failed.Error()) // strings always marshal
		}
		return answer
	})
}

func (a *app) normalizeLine(line []byte, err error) normalized {
	if err != nil {
		return normalized{Reason: field.Length.String()}
	}
	if !utf8.Valid(line) { // encoding/json would put U+FFFD in its place
		return normalized{Reason: field.Charset.String()}
	}
	var asked struct {
		Field *string `json:"field"`
		Value *string `json:"value"`
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields() // a misspelt member would be left out in silence
	if decoder.Decode(&asked) != nil || decoder.Decode(new(json.RawMessage)) != io.EOF || asked.Field == nil || asked.Value == nil {
		return normalized{Reason: "REQUEST_MALFORMED"}
	}
	kind, ok := field.KindByName(*asked.Field)
	if !ok {
		return normalized{Reason: "FIELD_OUTSIDE_CEILING"}
	}
	return a.normalize(kind, *asked.Value)
}
