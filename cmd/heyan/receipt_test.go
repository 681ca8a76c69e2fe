package main

import (
	"testing"

	logv1 "github.com/heyan-project/heyan/proto/heyan/log/v1"
)

// TestWhatAReceiptIsOf: any record of a log has a proof; only an answer is a receipt, and only a reconciliation of the same
// verification, which had none before, is its verdict.
func TestWhatAReceiptIsOf(t *testing.T) {
	record := func(event, id, verdict string, kind logv1.OutcomeKind) *logv1.Record {
		return &logv1.Record{Event: event, Object: &logv1.Object{Type: "verification", Id: id}, Outcome: &logv1.Outcome{Kind: kind},
			Processing: &logv1.Processing{Verdict: verdict}}
	}
	const ok, denied = logv1.OutcomeKind_OUTCOME_KIND_SUCCESS, logv1.OutcomeKind_OUTCOME_KIND_DENIED
	for _, c := range []struct {
		record *logv1.Record
		answer bool
	}{
		{record("verification.verify", "x", "MATCH", ok), true}, {record("verification.batch_item", "x", "MATCH", ok), true},
		{record("verification.recovered", "x", "MATCH", ok), true}, {record("verification.verify", "", "", denied), false},
		{record("verification.reconciled", "x", "MATCH", ok), false}, {record("dataset.imported", "x", "", ok), false},
	} {
		if isAnswer(c.record) != c.answer {
			t.Errorf("%v", c.record)
		}
	}
	pending, settled := record("verification.verify", "x", "", ok), record("verification.reconciled", "x", "MATCH", ok)
	if !resolves(settled, pending) {
		t.Error("a reconciliation is none")
	}
	for name, other := range map[string][2]*logv1.Record{
		"of another verification": {record("verification.reconciled", "y", "MATCH", ok), pending},
		"another answer":          {record("verification.verify", "x", "MATCH", ok), pending},
		"of what had a verdict":   {settled, record("verification.verify", "x", "MISMATCH", ok)},
	} {
		if resolves(other[0], other[1]) {
			t.Errorf("%s is taken for the reconciliation", name)
		}
	}
}
