// Package secret holds plaintext field values so that they cannot be printed by accident.
//
// A [Text] guarantees that no verb of package fmt, no slog handler and no encoder of encoding/json,
// encoding/xml or any other user of [encoding.TextMarshaler] ever sees the value, whether the Text
// stands alone, inside an exported or unexported struct field, in a slice or behind a pointer: the
// bytes sit inside a closure, which reflection cannot open, and every formatting hook answers with
// [Redacted]. encoding/gob refuses a Text outright, because it has no exported fields.
//
// Not guaranteed: that the bytes leave memory. Go cannot zero the strings that protobuf and gRPC
// hand over, so zeroing is not claimed; the process disables core dumps and ptrace instead. Nor does
// a Text protect against code that calls [Text.Reveal] and prints what it got: Reveal is meant for
// packages field, digest and source, for the length of a call.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what every print and encoding of a Text shows.
const Redacted = "[redacted]"

// Text is a value that must not be printed. The zero Text holds nothing and reports Empty.
type Text struct {
	// A closure, not a pointer: package fmt does not call methods of what it reaches through an
	// unexported field, and for a wrong verb (%s) it follows a pointer to a struct and prints what
	// it finds there. Of a func it prints the address.
	reveal func() string
}

// New wraps a plaintext value.
func New(value string) Text {
	if value == "" {
		return Text{}
	}
	return Text{reveal: func() string { return value }}
}

// Reveal returns the plaintext. The caller must not store, log, print or send it anywhere but into
// a digest or to the authority that the product asks.
func (t Text) Reveal() string {
	if t.reveal == nil {
		return ""
	}
	return t.reveal()
}

// Empty reports whether t holds no value.
func (t Text) Empty() bool { return t.reveal == nil }

// Format implements [fmt.Formatter] for every verb and flag.
func (Text) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, Redacted) }

// LogValue implements [slog.LogValuer].
func (Text) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText implements [encoding.TextMarshaler], and so covers JSON, XML and YAML.
func (Text) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
