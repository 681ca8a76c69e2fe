package simulator_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/source"
	"github.com/heyan-project/heyan/verifier/source/simulator"
)

func query(t *testing.T, name string) *source.Query {
	t.Helper()
	catalogue, err := product.NewCatalogue(product.Builtin())
	if err != nil {
		t.Fatal(err)
	}
	p, _ := catalogue.Get("id2")
	q := &source.Query{Product: p}
	for kind, text := range map[field.Kind]string{field.Name: name, field.IDNumber: "11010519491231002X"} {
		v, err := (*field.Rules)(nil).Parse(kind, text, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		q.Values = append(q.Values, v)
	}
	return q
}

func TestAnswersByName(t *testing.T) {
	for name, want := range map[string]product.Verdict{
		"测试一致": product.Match, "测试不一致": product.Mismatch, "测试无记录": product.NoRecord, "测试不可核": product.NotVerifiable,
		"测试已冻结": product.InstrumentBlocked, "王小明": product.NoRecord, "TEST MATCH": product.NoRecord,
	} {
		a, err := simulator.Source{}.Check(context.Background(), query(t, name))
		if err != nil || a.Verdict != want || a.Pending || a.Billed || a.Source != "simulator" {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	a, err := simulator.Source{}.Check(context.Background(), query(t, "测试未知"))
	if err != nil || !a.Pending || a.Verdict != 0 {
		t.Errorf("测试未知: %+v, %v", a, err)
	}
	if _, err := (simulator.Source{}).Check(context.Background(), query(t, "测试源故障")); !fault.Is(err, fault.SourceUnavailable) {
		t.Errorf("测试源故障: %v", err)
	}
}

func TestTimeout(t *testing.T) {
	q := query(t, "测试超时")
	for _, deadline := range []time.Duration{time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), deadline)
			defer cancel()
			begin := time.Now()
			_, err := simulator.Source{}.Check(ctx, q)
			if !fault.Is(err, fault.SourceUnavailable) || time.Since(begin) != min(deadline, simulator.Delay) {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
		})
	}
}
