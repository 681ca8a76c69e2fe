package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/heyan-project/heyan/verifier/fault"
)

func TestEveryReasonHasACompleteRow(t *testing.T) {
	seen := map[string]bool{}
	for _, reason := range fault.Reasons() {
		row := reason.Row()
		if row.Name == "" || row.Kind == 0 || row.Handling == 0 || row.Cause == "" || row.Remedy == "" || row.Chinese == "" {
			t.Errorf("reason %d %q has an empty cell: %+v", reason, row.Name, row)
		}
		if row.Name != strings.ToUpper(row.Name) || seen[row.Name] {
			t.Errorf("reason %q is repeated or not in upper case", row.Name)
		}
		seen[row.Name] = true
		if row.Handling.String() == "HANDLING_UNSPECIFIED" {
			t.Errorf("reason %q has an unnamed handling", row.Name)
		}
	}
	if len(seen) < 60 {
		t.Errorf("only %d reasons", len(seen))
	}
	if fault.Reason(0).Valid() || fault.Reason(255).Valid() {
		t.Error("a reason outside the table must not be valid")
	}
}

func TestOfKeepsAFaultAndHidesAnythingElse(t *testing.T) {
	f := fault.New(fault.FieldMissing).WithField("fields.name", "")
	if fault.Of(fmt.Errorf("wrapped: %w", f)) != f {
		t.Error("a wrapped fault must be found")
	}
	other := errors.New("disk /dev/sda is gone")
	hidden := fault.Of(other)
	if hidden.Reason != fault.InternalError || !errors.Is(hidden, other) {
		t.Errorf("want INTERNAL with its cause, got %v", hidden)
	}
	if strings.Contains(hidden.Error(), "sda") {
		t.Error("the cause must not be part of the message")
	}
	if fault.Of(nil) != nil {
		t.Error("no error is no fault")
	}
}

func TestErrorNamesFields(t *testing.T) {
	got := fault.New(fault.FieldMalformed).WithField("fields.id_number", "CHECK_DIGIT").WithField("fields.name", "").Error()
	if got != "FIELD_MALFORMED: fields.id_number CHECK_DIGIT, fields.name" {
		t.Errorf("got %q", got)
	}
}
