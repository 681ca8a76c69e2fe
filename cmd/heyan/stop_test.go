package main

import (
	"runtime"
	"strings"
	"testing"
)

// A server says that it stops, why, and that it has stopped; after a stop that was none, the next start warns.
func TestStopsAreSaid(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signal asks a process to stop there")
	}
	_, home := laid(t)
	const unclean = `"level":"WARN","msg":"the last stop was not clean`
	first := startProcess(t, home)
	first.stop()
	said := first.text()
	stopping, stopped := strings.Index(said, `"level":"INFO","msg":"stopping","cause":"terminated signal received"`), strings.Index(said, `"level":"INFO","msg":"stopped"`)
	if stopping < 0 || stopped < stopping || strings.Contains(said, unclean) {
		t.Errorf("a clean stop: %s", said)
	}
	second := startProcess(t, home)
	second.kill()
	if said := second.text(); strings.Contains(said, unclean) || strings.Contains(said, `"stopped"`) {
		t.Errorf("after a clean stop, killed: %s", said)
	}
	third := startProcess(t, home)
	third.stop()
	if said := third.text(); strings.Count(said, unclean) != 1 || !strings.Contains(said, `"log_entry":"`+third.serving.Origin+"/") {
		t.Errorf("after a kill: %s", said)
	}
}
