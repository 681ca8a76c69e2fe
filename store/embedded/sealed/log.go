package sealed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/heyan-project/heyan/store/embedded/row"
)

// ErrStopped reports a database that no longer answers: a write or flush failed in a way that leaves
// unknown what is on the disk. Only opening it again, which reads the disk, makes that known.
var ErrStopped = errors.New("sealed: the database stopped, because what is on the disk is not known")

// failure wraps an error of Pebble. Its text names the operation and the class of the cause and never
// the cause's own text, which may hold keys; errors.Is and errors.As still see the cause.
type failure struct {
	op    string
	cause error
}

func (f *failure) Error() string {
	return fmt.Sprintf("sealed: %s: %s", f.op, class(f.cause))
}

func (f *failure) Unwrap() error { return f.cause }

// Is makes what Pebble calls corruption and what a row calls tampering one thing for callers. So is a
// file with another key or format: that of the store was checked before Pebble was asked for anything.
func (f *failure) Is(target error) bool {
	return target == ErrTampered && damaged(f.cause)
}

func fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &failure{op: op, cause: err}
}

func damaged(err error) bool {
	for _, sign := range []error{row.ErrTampered, ErrTampered, ErrNotSealed, ErrWrongKey, ErrNewerFormat} {
		if errors.Is(err, sign) {
			return true
		}
	}
	return pebble.IsCorruptionError(err)
}

// class describes an error without quoting it.
func class(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "no error"
	case damaged(err):
		return "the stored bytes are not what was written"
	case errors.Is(err, ErrRewrite):
		return "a sealed file would be rewritten"
	case errors.Is(err, pebble.ErrClosed):
		return "the database is closed"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	case errors.As(err, &errno):
		return errno.Error()
	case isGone(err):
		return "a file is missing"
	case errors.Is(err, fs.ErrExist):
		return "a file exists already"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	}
	return fmt.Sprintf("failed (%T)", err)
}

// watch is Pebble's logger and listener. It passes on what an operator must know, by Pebble's own
// constant format text and the class of an error, never with the arguments: those hold keys.
type watch struct {
	log     *slog.Logger
	store   string
	stop    func(reason string)
	stopped atomic.Bool
	opening atomic.Pointer[chan error] // while the engine opens: takes the first thing that goes wrong
	told    atomic.Int64               // when a failure was last told of, in Unix nanoseconds
}

// tellEvery is how often one failure that comes again and again is told of.
const tellEvery = 10 * time.Second

// failed hands a failure to whoever waits for the engine to open, and tells the operator now and then: on a full disk
// the engine tries again without a pause.
func (w *watch) failed(err error) {
	if waiting := w.opening.Load(); waiting != nil {
		select {
		case *waiting <- err:
		default:
		}
	}
	now := time.Now().UnixNano()
	if last := w.told.Load(); now-last >= int64(tellEvery) && w.told.CompareAndSwap(last, now) {
		w.log.Error("storage engine: background work failed", "store", w.store, "cause", class(err))
	}
}

var _ pebble.Logger = (*watch)(nil)

// Infof drops what Pebble tells about its daily work.
func (w *watch) Infof(string, ...any) {}

// Errorf logs the format text and the classes of the errors among the arguments.
func (w *watch) Errorf(format string, args ...any) {
	w.log.Error("storage engine", "store", w.store, "event", format, "causes", classes(args))
}

// Fatalf is called when Pebble cannot go on. Pebble relies on its not returning.
func (w *watch) Fatalf(format string, args ...any) {
	w.log.Error("storage engine cannot continue", "store", w.store, "event", format, "causes", classes(args))
	if waiting := w.opening.Load(); waiting != nil {
		select {
		case *waiting <- fmt.Errorf("%w: %s", ErrStopped, strings.Join(classes(args), ", ")):
		default:
		}
	}
	w.halt(format)
	select {} // The caller holds Pebble's locks in an unknown state: neither it nor its answer may go on.
}

// halt marks the database stopped and tells the owner once.
func (w *watch) halt(reason string) {
	if w.stopped.Swap(true) {
		return
	}
	if w.stop != nil {
		w.stop(reason)
		return
	}
	// In a goroutine of its own, so that no recover of a caller keeps the process alive.
	go panic("sealed: the storage engine of " + w.store + " cannot continue: " + reason)
}

func (w *watch) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: w.failed,
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			w.log.Error("storage engine: a file is damaged", "store", w.store, "file", info.Path)
		},
	}
}

func (w *watch) slow(info vfs.DiskSlowInfo) {
	w.log.Warn("storage engine: the disk is slow", "store", w.store, "file", info.Path,
		"operation", info.OpType.String(), "seconds", info.Duration.Seconds())
}

func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func classes(args []any) []string {
	var all []string
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			all = append(all, class(err))
		}
	}
	return all
}
