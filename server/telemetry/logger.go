package telemetry

import (
	"io"
	"log/slog"
	"time"
)

// Logger makes the operator's log: one JSON object a line, times in UTC. level may be changed while it runs.
// It hides nothing: the rule of this package is its only protection, so what is given to it are names, ids and
// numbers of the program's own.
func Logger(w io.Writer, level *slog.LevelVar) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
				return slog.String(slog.TimeKey, a.Value.Time().UTC().Format(time.RFC3339Nano))
			}
			return a
		},
	}))
}
