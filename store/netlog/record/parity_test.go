package record

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	logv1 "github.com/heyan-project/heyan/proto/heyan/log/v1"
)

// TestParity holds the hand-written form to the published one: generated code reads our bytes without a field left over
// and writes the same bytes, and a record with everything set has every published field.
func TestParity(t *testing.T) {
	for name, r := range map[string]Record{"small": small(), "verify": verify(), "full": full()} {
		b := mustAppend(t, r)
		var m logv1.Record
		if err := proto.Unmarshal(b, &m); err != nil {
			t.Fatal(name, err)
		}
		again, err := proto.MarshalOptions{Deterministic: true}.Marshal(&m)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: generated code writes other bytes: %v\n%x\n%x", name, err, b, again)
		}
		walk(t, name, m.ProtoReflect(), name == "full")
	}
}

// walk fails on unknown fields and, with all, on fields that are not set.
func walk(t *testing.T, path string, m protoreflect.Message, all bool) {
	t.Helper()
	if len(m.GetUnknown()) > 0 {
		t.Errorf("%s: unknown fields %x", path, m.GetUnknown())
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		name := path + "." + string(f.Name())
		if !m.Has(f) {
			// Source has every field of a Peer; the other two ends need not.
			if all && path != "full.destination" && path != "full.via" {
				t.Errorf("%s is published and never written", name)
			}
			continue
		}
		switch {
		case f.IsList() && f.Message() != nil:
			walk(t, name, m.Get(f).List().Get(0).Message(), all)
		case !f.IsList() && f.Message() != nil:
			walk(t, name, m.Get(f).Message(), all)
		}
	}
}

func TestEnumParity(t *testing.T) {
	for prefix, e := range map[string]struct {
		enum protoreflect.EnumDescriptor
		name func(n int) string
	}{
		"CATEGORY_":     {logv1.Category(0).Descriptor(), func(n int) string { return Category(n).String() }},
		"SEVERITY_":     {logv1.Severity(0).Descriptor(), func(n int) string { return Severity(n).String() }},
		"ACTOR_KIND_":   {logv1.ActorKind(0).Descriptor(), func(n int) string { return ActorKind(n).String() }},
		"OUTCOME_KIND_": {logv1.OutcomeKind(0).Descriptor(), func(n int) string { return OutcomeKind(n).String() }},
		"CLOCK_STATE_":  {logv1.ClockState(0).Descriptor(), func(n int) string { return ClockState(n).String() }},
	} {
		values := e.enum.Values()
		for i := range values.Len() {
			v := values.Get(i)
			if want := prefix + e.name(int(v.Number())); string(v.Name()) != want {
				t.Errorf("%s is %s here", v.Name(), want)
			}
		}
		if name := e.name(values.Len()); name != "UNSPECIFIED" {
			t.Errorf("%s%s is not published", prefix, name)
		}
	}
}
