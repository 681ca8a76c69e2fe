package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

const canary = "CANARY"

// What Pebble says may hold keys and values: in the arguments, in errors, in errors' causes.
func TestWatchQuotesNothing(t *testing.T) {
	secret := fmt.Errorf("key %s: %w", canary, syscall.ENOSPC)
	for name, c := range map[string]struct {
		say  func(*watch)
		want string // what the operator must see
	}{
		"an error":         {func(w *watch) { w.Errorf("compacting %s: %v", canary, secret) }, "no space left"},
		"background work":  {func(w *watch) { w.listener().BackgroundError(secret) }, "no space left"},
		"a damaged file":   {func(w *watch) { w.listener().DataCorruption(corruption()) }, "000007.sst"},
		"an end":           {func(w *watch) { w.halt("reason") }, ""},
		"its daily work":   {func(w *watch) { w.Infof("wrote %s", canary) }, ""},
		"a fatal error":    {fatally("writing %s: %v", canary, secret), "no space left"},
		"nothing to class": {func(w *watch) { w.Errorf("%v", errors.New(canary)) }, "errors.errorString"},
	} {
		var log bytes.Buffer
		var reasons []string
		w := &watch{log: slog.New(slog.NewTextHandler(&log, nil)), store: "s", stop: func(reason string) { reasons = append(reasons, reason) }}
		c.say(w)
		text := log.String() + strings.Join(reasons, " ")
		if strings.Contains(text, canary) {
			t.Errorf("%s is quoted: %s", name, text)
		}
		if !strings.Contains(text, c.want) {
			t.Errorf("%s: the operator sees %q, want %q in it", name, text, c.want)
		}
	}
}

func corruption() pebble.DataCorruptionInfo {
	info := pebble.DataCorruptionInfo{Path: "db/000007.sst", Details: errors.New(canary)}
	info.Bounds.Start = []byte(canary)
	return info
}

// fatally calls Fatalf, which must not return, and waits until it has told the owner.
func fatally(format string, args ...any) func(*watch) {
	return func(w *watch) {
		told, returned := make(chan struct{}), make(chan struct{})
		stop := w.stop
		w.stop = func(reason string) { stop(reason); close(told) }
		go func() { w.Fatalf(format, args...); close(returned) }()
		<-told
		select {
		case <-returned:
			panic("Fatalf returned")
		default:
		}
	}
}

func TestFailuresQuoteNothing(t *testing.T) {
	for _, cause := range []error{
		errors.New(canary),
		fmt.Errorf("%s: %w", canary, ErrTampered),
		fmt.Errorf("%s: %w", canary, pebble.ErrCorruption),
		fmt.Errorf("%s: %w", canary, syscall.EIO),
		&canaryError{},
	} {
		err := fail("read", cause)
		if text := fmt.Sprintf("%v %+v %s %q", err, err, err, err); strings.Contains(text, canary) {
			t.Errorf("quoted: %s", text)
		}
		if !errors.Is(err, cause) {
			t.Errorf("%T: the cause is lost", cause)
		}
	}
	if fail("read", nil) != nil {
		t.Error("no error became one")
	}
	if !errors.Is(fail("read", pebble.ErrCorruption), ErrTampered) || errors.Is(fail("read", syscall.EIO), ErrTampered) {
		t.Error("what is damaged and what is not are confused")
	}
}

type canaryError struct{}

func (*canaryError) Error() string { return canary }
