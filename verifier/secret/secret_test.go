package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/heyan-project/heyan/verifier/secret"
)

const canary = "canary-13800138000"

type exported struct{ T secret.Text }

type unexported struct{ t secret.Text }

func TestNoPrinterShowsTheValue(t *testing.T) {
	text := secret.New(canary)
	inner := unexported{t: text}
	if inner.t.Reveal() != canary {
		t.Fatal("Reveal lost the value")
	}
	shapes := map[string]any{
		"alone": text, "pointer": &text, "exported": exported{text}, "pointer to exported": &exported{text},
		"unexported": inner, "pointer to unexported": &inner, "slice": []secret.Text{text},
		"map": map[string]secret.Text{"k": text}, "nested": struct{ a []unexported }{[]unexported{inner}},
	}
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T", "%10.3s"}
	for name, shape := range shapes {
		for _, verb := range verbs {
			assertHidden(t, name+" "+verb, fmt.Sprintf(verb, shape))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", shape)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", shape)
		assertHidden(t, name+" slog", log.String())
		encoded, _ := json.Marshal(shape)
		assertHidden(t, name+" json", string(encoded))
		encoded, _ = xml.Marshal(shape)
		assertHidden(t, name+" xml", string(encoded))
		var stream bytes.Buffer
		_ = gob.NewEncoder(&stream).Encode(shape)
		assertHidden(t, name+" gob", stream.String())
	}
}

func assertHidden(t *testing.T, where, printed string) {
	t.Helper()
	for _, leak := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), canary[7:]} {
		if strings.Contains(printed, leak) {
			t.Errorf("%s shows the value: %s", where, printed)
		}
	}
}

func TestZeroTextIsEmpty(t *testing.T) {
	var zero secret.Text
	if !zero.Empty() || zero.Reveal() != "" || !secret.New("").Empty() || secret.New("x").Empty() {
		t.Fatal("Empty must report exactly the absence of a value")
	}
}
