package authn

import (
	"testing"
	"time"
)

func TestLastUsed(t *testing.T) {
	a := &Authenticator{}
	at := time.Date(2026, 11, 22, 4, 0, 30, 0, time.UTC)
	if !a.LastUsed("c").IsZero() {
		t.Error("never used")
	}
	a.use("c", at)
	a.use("c", at.Add(-time.Hour)) // a call that began earlier
	if got := a.LastUsed("c"); !got.Equal(at.Truncate(time.Minute)) {
		t.Errorf("used at %v", got)
	}
	a.use("c", at.Add(time.Minute))
	if got := a.LastUsed("c"); !got.Equal(at.Add(time.Minute).Truncate(time.Minute)) {
		t.Errorf("used again at %v", got)
	}
}
