// Package simulator answers by name, always the same, for developers of client backends.
//
//	测试一致     MATCH
//	测试不一致   MISMATCH, in the name
//	测试无记录   NO_RECORD
//	测试不可核   NOT_VERIFIABLE
//	测试已冻结   INSTRUMENT_BLOCKED
//	测试未知     PENDING: a billed call whose outcome is not known
//	测试超时     SOURCE_UNAVAILABLE after ten seconds, or at the caller's deadline
//	测试源故障   SOURCE_UNAVAILABLE at once
//
// Any other name is NO_RECORD. The numbers may be any valid ones. In production it answers test credentials
// only; nothing it says is about a real person.
package simulator

import (
	"context"
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/source"
)

// Name is the source's slug.
const Name = "simulator"

// Delay is how long 测试超时 takes to fail.
const Delay = 10 * time.Second

// Source is the simulator.
type Source struct{}

// Name implements [source.Source].
func (Source) Name() string { return Name }

// Recipient implements [source.Source]: values stay inside.
func (Source) Recipient() string { return "" }

// Check implements [source.Source].
func (Source) Check(ctx context.Context, q *source.Query) (source.Answer, error) {
	answer := source.Answer{Source: Name}
	switch q.Value(field.Name).Canonical().Reveal() {
	case "测试一致":
		answer.Verdict = product.Match
		compare(&answer, q, product.FieldMatch)
	case "测试不一致":
		answer.Verdict = product.Mismatch
		compare(&answer, q, product.FieldMatch)
		answer.Fields.Set(field.Name, product.FieldMismatch)
	case "测试不可核":
		answer.Verdict = product.NotVerifiable
		compare(&answer, q, product.FieldNotCompared)
	case "测试已冻结":
		answer.Verdict = product.InstrumentBlocked
		compare(&answer, q, product.FieldNotCompared)
	case "测试未知":
		answer.Pending = true
	case "测试超时":
		timer := time.NewTimer(Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return source.Answer{}, fault.New(fault.SourceUnavailable).WithRetryAfter(time.Second)
	case "测试源故障":
		return source.Answer{}, fault.New(fault.SourceUnavailable).WithRetryAfter(time.Second)
	default:
		answer.Verdict = product.NoRecord
		compare(&answer, q, product.FieldNotCompared)
	}
	return answer, nil
}

func compare(answer *source.Answer, q *source.Query, verdict product.FieldVerdict) {
	for _, kind := range q.Product.Links().Kinds() {
		answer.Fields.Set(kind, verdict)
	}
}
