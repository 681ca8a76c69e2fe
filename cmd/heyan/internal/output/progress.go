package output

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	barColumns = 30
	redraw     = 100 * time.Millisecond
)

// Progress is a bar that grows with what is done of a known or unknown total. It draws at most ten times a second.
// One goroutine at a time may use it. A nil Progress does nothing.
type Progress struct {
	out     io.Writer
	now     func() time.Time
	label   string
	unit    func(int64) string
	total   int64
	done    int64
	started time.Time
	drawn   time.Time
}

// Terminal reports whether w is a terminal.
func Terminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// NewProgress begins a bar on out. It returns nil where out is no terminal: then nothing is drawn. A total of 0 is
// an unknown one. unit prints a count, e.g. [Bytes].
func NewProgress(out io.Writer, now func() time.Time, label string, total int64, unit func(int64) string) *Progress {
	if !Terminal(out) {
		return nil
	}
	return &Progress{out: out, now: now, label: label, unit: unit, total: total, started: now()}
}

// Add counts n more as done.
func (p *Progress) Add(n int64) {
	if p == nil {
		return
	}
	p.done += n
	if now := p.now(); now.Sub(p.drawn) >= redraw {
		p.drawn = now
		p.draw(now)
	}
}

// Set counts n in all as done.
func (p *Progress) Set(n int64) {
	if p != nil {
		p.Add(n - p.done)
	}
}

// Done removes the bar's line, so that the result can stand in its place.
func (p *Progress) Done() {
	if p != nil {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func (p *Progress) draw(now time.Time) {
	fmt.Fprint(p.out, "\r\x1b[K"+p.line(now))
}

// line is the bar as text: label, bar and share where the total is known, count, rate, time left.
func (p *Progress) line(now time.Time) string {
	elapsed := now.Sub(p.started).Seconds()
	rate := 0.0
	if elapsed > 0 {
		rate = float64(p.done) / elapsed
	}
	if p.total <= 0 {
		return fmt.Sprintf("%s %s, %s/s", p.label, p.unit(p.done), p.unit(int64(rate)))
	}
	share := min(float64(p.done)/float64(p.total), 1)
	filled := int(share * barColumns)
	line := fmt.Sprintf("%s [%s%s] %3.0f%% %s/s", p.label, strings.Repeat("#", filled),
		strings.Repeat(".", barColumns-filled), share*100, p.unit(int64(rate)))
	if rate > 0 && share < 1 {
		left := time.Duration(float64(p.total-p.done) / rate * float64(time.Second))
		line += ", " + left.Round(time.Second).String() + " left"
	}
	return line
}

// Bytes prints a size in binary units: "512 B", "1.5 MiB".
func Bytes(n int64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/step, 0
	for value >= step && unit < len("KMGTP")-1 {
		value /= step
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[unit])
}

// Count prints a number with its thousands apart: "1,234,567".
func Count(n int64) string {
	digits := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Total states a total that was not known when the bar began.
func (p *Progress) Total(n int64) {
	if p != nil {
		p.total = n
	}
}
