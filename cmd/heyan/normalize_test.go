package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestNormalizeLines: a line is one object with the two members and no other; what is wrong with one is told without it.
func TestNormalizeLines(t *testing.T) {
	const good = `{"field":"phone_number","value":"138 0013 8000"}`
	for line, want := range map[string]string{
		good:        `{"valid":true,"canonical":"13800138000"`,
		good + "  ": `{"valid":true,"canonical":"13800138000"`,
		`{"field":"phone_number","value":"13800138000","region":"+86"}`: `{"valid":false,"reason":"REQUEST_MALFORMED"}`,
		good + good:                `{"valid":false,"reason":"REQUEST_MALFORMED"}`,
		good + "}":                 `{"valid":false,"reason":"REQUEST_MALFORMED"}`,
		`{"field":"phone_number"}`: `{"valid":false,"reason":"REQUEST_MALFORMED"}`,
		`{"field":"email","value":"a@example.cn"}`: `{"valid":false,"reason":"FIELD_OUTSIDE_CEILING"}`,
	} {
		var out, complaint strings.Builder
		run(t.Context(), []string{"normalize", "--jsonl"}, streams{In: strings.NewReader(line + "\n"), Out: &out, Err: &complaint, Env: os.LookupEnv, Now: time.Now})
		if !strings.HasPrefix(out.String(), want) || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: %s%s", line, out.String(), complaint.String())
		}
	}
}
