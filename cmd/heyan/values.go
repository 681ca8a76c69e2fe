package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/verifier/field"
)

// values is a person's values by field: by flag, or as a JSON object on standard input. A flag can be seen by every
// user of the machine and stays in the shell's history; standard input does not.
type values struct {
	flags [6]string // in the order of field.Kinds
	stdin bool
}

func (v *values) add(cmd *cobra.Command) {
	for i, kind := range field.Kinds() {
		name := strings.ReplaceAll(kind.String(), "_", "-")
		cmd.Flags().StringVar(&v.flags[i], name, "", kind.String()+"; better by --stdin")
	}
	cmd.Flags().BoolVar(&v.stdin, "stdin", false, `read values from standard input, e.g. {"name":"…","id_number":"…"}`)
}

// given reports whether a flag states a value.
func (v *values) given() bool { return v.flags != [6]string{} }

// read returns the values; flags win over standard input.
func (v *values) read(a *app) (*heyanv1.Fields, error) {
	fields := &heyanv1.Fields{}
	if v.stdin {
		raw, err := io.ReadAll(io.LimitReader(a.In, 64<<10))
		if err != nil {
			return nil, err
		}
		if err := protojson.Unmarshal(raw, fields); err != nil {
			// protojson's error repeats the input.
			return nil, usageError("--stdin: not a JSON object of field names and strings",
				`wants {"name":"…","id_number":"…"}`)
		}
	}
	for i, kind := range field.Kinds() {
		if v.flags[i] != "" {
			setField(fields, kind, v.flags[i])
		}
	}
	a.submit(fields)
	return fields, nil
}

// submit remembers values, so that no error shows them.
func (a *app) submit(fields *heyanv1.Fields) { a.submitted = append(a.submitted, valuesOf(fields)...) }

// valuesOf returns the values that are not empty.
func valuesOf(fields *heyanv1.Fields) []string {
	if fields == nil {
		return nil
	}
	var values []string
	for _, kind := range field.Kinds() {
		if value := getField(fields, kind); value != nil && *value != "" {
			values = append(values, *value)
		}
	}
	return values
}

// member returns the place of a field in the message.
func member(fields *heyanv1.Fields, kind field.Kind) **string {
	switch kind {
	case field.Name:
		return &fields.Name
	case field.IDNumber:
		return &fields.IdNumber
	case field.PhoneNumber:
		return &fields.PhoneNumber
	case field.BankCardNumber:
		return &fields.BankCardNumber
	case field.LicensePlateNumber:
		return &fields.LicensePlateNumber
	case field.DriverLicenseNumber:
		return &fields.DriverLicenseNumber
	}
	panic("heyan: a seventh field")
}

func setField(fields *heyanv1.Fields, kind field.Kind, value string) { *member(fields, kind) = &value }

func getField(fields *heyanv1.Fields, kind field.Kind) *string { return *member(fields, kind) }

// kindNamed reads a field's name, with - or _.
func kindNamed(text string) (field.Kind, error) {
	if kind, ok := field.KindByName(strings.ReplaceAll(text, "-", "_")); ok {
		return kind, nil
	}
	return 0, &badValue{"one of " + strings.Join(kindNames(), ", ")}
}

func kindNames() []string {
	var names []string
	for _, kind := range field.Kinds() {
		names = append(names, kind.String())
	}
	return names
}

// kindFlag is a flag that names a field.
type kindFlag struct{ target *field.Kind }

func (f kindFlag) Set(text string) (err error) {
	*f.target, err = kindNamed(text)
	return err
}
func (f kindFlag) String() string {
	if !f.target.Valid() {
		return ""
	}
	return f.target.String()
}
func (f kindFlag) Type() string { return "field" }
