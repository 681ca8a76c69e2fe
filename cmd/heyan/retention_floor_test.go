package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// TestRetentionFloor: a configuration that keeps the log for less than six calendar months does not start, and the attempt
// is in the log.
func TestRetentionFloor(t *testing.T) {
	h := newHome(t)
	path := filepath.Join(h.dir, "heyan.yaml")
	well, err := os.ReadFile(path)
	h.must(err)
	for _, short := range []string{"period: P5M", "period: P180D", "period: P183D", "grace_days: -1"} {
		h.must(os.WriteFile(path, append(well[:len(well):len(well)], "\nlog: {retention: {"+short+"}}\n"...), 0o600))
		if code, said := h.heyan("serve", "--config", path); code != exitUsage || !strings.Contains(said, "log.retention: RETENTION_BELOW_FLOOR") {
			t.Fatalf("%s: exit code %d: %s", short, code, said)
		}
		var last record.Record
		h.log(func(s *state) {
			leaf, err := s.log.Get(t.Context(), s.log.Size()-1)
			h.must(err)
			last, err = record.Parse(leaf)
			h.must(err)
		})
		if last.Event != record.ConfigRefused || last.Outcome.Reason != "RETENTION_BELOW_FLOOR" || last.Change == nil || last.Change.Diff != "refused=log.retention" {
			t.Errorf("%s: the log ends with %v %+v %+v", short, last.Event, last.Outcome, last.Change)
		}
	}
	h.must(os.WriteFile(path, well, 0o600))
	h.must(h.start(nil))
}
