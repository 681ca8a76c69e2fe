package inspection

import (
	_ "embed" // the templates
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/store/netlog/export"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	style string
)

// pageView is what the template shows.
type pageView struct {
	Lang, Title, Running   string
	Style, Header          template.CSS
	Other, OtherFile       string
	Contents, Zone, Empty  string
	Fingerprint            []string // in groups of four, eight a line
	FingerprintName        string
	FingerprintSays, KeyIs string
	Cover                  table
	Verdict                string
	Whole                  bool
	VerdictName            string
	Verified               []string
	Findings               []string
	NotName                string
	Not                    []string
	LawName                string
	Law                    []string
	Sections               []section
}

// Page writes a page: one file, without script, that loads nothing.
func Page(w io.Writer, f *Facts, l Lang) error {
	b := builder{l, f}
	sections, err := b.sections()
	if err != nil {
		return err
	}
	other := English
	if l == English {
		other = Chinese
	}
	running := b.say("printed", f.Origin, clock(f.Made)+" +08:00", f.Fingerprint[:min(16, len(f.Fingerprint))])
	view := pageView{
		Lang: string(l), Title: b.say("title"), Running: running, Style: template.CSS(style), Header: cssText(running),
		Other: b.say("other"), OtherFile: PageFile(other), Contents: b.say("contents"), Zone: b.say("zone"), Empty: b.say("empty"),
		Fingerprint: groups(f.Fingerprint), FingerprintName: b.say("cover.fp"), FingerprintSays: b.say("cover.fpsay"), KeyIs: b.say("cover.alone"),
		Cover: b.cover(), Whole: f.Proof.Whole && f.Proof.ServerWhole, VerdictName: b.say("v"), Verdict: b.say("v.broken"), Verified: b.verified(),
		Findings: append(append([]string(nil), f.Proof.Findings...), f.Proof.ServerReport...),
		NotName:  b.say("n"), LawName: b.say("law"), Sections: sections,
	}
	if f.KeyCompared {
		view.KeyIs = b.say("cover.same")
	}
	if f.Proof.Whole {
		view.Verdict = b.say("v.whole")
	}
	for _, key := range []string{"n.1", "n.2", "n.3", "n.4", "n.5", "n.6", "n.7"} {
		view.Not = append(view.Not, b.say(key))
	}
	for _, key := range []string{"law.1", "law.2", "law.3"} {
		view.Law = append(view.Law, b.say(key))
	}
	page, err := template.New("page").Funcs(template.FuncMap{"clean": output.Clean, "class": class, "lines": lines, "number": func(n int) int { return n + 1 }}).Parse(pageText)
	if err != nil {
		return err
	}
	return page.Execute(w, view)
}

// cover says what the bundle is of.
func (b builder) cover() table {
	from, to := b.say("open"), b.say("open")
	if !b.From.IsZero() {
		from = clock(b.From)
	}
	if !b.To.IsZero() {
		to = clock(b.To)
	}
	span := "–"
	if !b.Log.First.IsZero() {
		span = clock(b.Log.First) + " — " + clock(b.Log.Last)
	}
	records := count(b.Log.Records)
	if b.EndIndex > b.FirstIndex {
		records = b.say("c.range", records, b.FirstIndex, b.EndIndex-1)
	}
	t := table{Pairs: true, Rows: [][]string{
		{b.say("c.system"), "Heyan 核验 · " + b.Node}, {b.say("c.region"), b.Region}, {b.say("c.origin"), b.Origin},
		{b.say("c.period"), from + " — " + to}, {b.say("c.records"), records}, {b.say("c.span"), span},
		{b.say("c.requester"), b.Requester},
		{b.say("c.made"), clock(b.Made) + " +08:00 (" + b.Made.UTC().Format(time.RFC3339) + ")"},
		{b.say("c.checkpoint"), count(b.Size)}, {b.say("c.root"), hex.EncodeToString(b.Root)},
		{b.say("c.key"), b.Key}, {b.say("c.program"), b.Program},
	}}
	return t
}

// verified says in words what verification said.
func (b builder) verified() []string {
	p := b.Proof
	all := []string{b.say("v.nomembers"), b.say("v.nocomplete"), b.say("v.unanchored"), b.say("v.serverno"), b.say("v.again")}
	if p.Members {
		all[0] = b.say("v.members")
	}
	if p.Complete {
		all[1] = b.say("v.complete")
	}
	if p.Given > 0 {
		all[2] = b.say("v.anchored", p.Given, p.Anchored)
	}
	if p.ServerWhole {
		all[3] = b.say("v.server", count(p.ServerCount))
	}
	if !b.From.IsZero() || !b.To.IsZero() {
		all = slices.Insert(all, 2, b.say("v.period"))
	}
	return all
}

// groups divides a fingerprint so that it can be compared by eye: two lines of eight groups of four.
func groups(fingerprint string) []string {
	var lines []string
	for len(fingerprint) >= 32 {
		var words []string
		for i := 0; i < 32; i += 4 {
			words = append(words, fingerprint[i:i+4])
		}
		lines, fingerprint = append(lines, strings.Join(words, " ")), fingerprint[32:]
	}
	if fingerprint != "" {
		lines = append(lines, fingerprint)
	}
	return lines
}

func exportLang(l Lang) export.Lang {
	if l == Chinese {
		return export.Chinese
	}
	return export.English
}

// cssText is a text as CSS has it in quotes. What is neither a letter nor a digit is written by its number, so that nothing
// ends the text, or the style; html/template lets no text into a style that may hold more than a word.
func cssText(text string) template.CSS {
	var b strings.Builder
	for _, r := range output.Clean(text) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "\\%06x", r)
	}
	return template.CSS(`"` + b.String() + `"`)
}

// class is how a cell is set: a time is not broken but between day and hour, and a long word, such as a digest, anywhere.
func class(cell string) string {
	if _, err := time.Parse(time.DateTime, cell); err == nil {
		return "time"
	}
	if slices.ContainsFunc(strings.Fields(cell), func(word string) bool { return utf8.RuneCountInString(word) > 22 }) {
		return "long"
	}
	return "text"
}

// lines are the lines of a cell.
func lines(cell string) []string {
	if class(cell) == "time" {
		return strings.Fields(cell)
	}
	return strings.Split(cell, "\n")
}
