package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNothingIsLost: a log that a start would go on with is not left behind as lost.
func TestNothingIsLost(t *testing.T) {
	_, home := laid(t)
	path := filepath.Join(home, "heyan.yaml")
	var out strings.Builder
	code := run(t.Context(), []string{"init", "--new-origin", "lost", "--config", path}, streams{Out: &out, Err: &out, In: strings.NewReader(""), Env: os.LookupEnv, Now: time.Now, Rand: rand.Reader})
	if code != exitUsage || !strings.Contains(out.String(), "nothing is lost") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}
