package export

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/totals"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Totals says whether hourly totals, which the log itself holds, agree with a filtered export.
type Totals string

// The answers.
const (
	TotalsNotNeeded     Totals = ""                                // nothing was filtered
	TotalsAgree         Totals = "agree"                           //
	TotalsDisagree      Totals = "DISAGREE"                        // rows are missing, or there are too many
	TotalsIncomplete    Totals = "not all there"                   // what is there agrees
	TotalsNotComparable Totals = "not comparable with this filter" // they do not tell apart what it asks for
	TotalsNone          Totals = "none cover this range"           // it is from before the log had totals
	TotalsUnproven      Totals = "not proven"                      // and neither are the rows
)

// filter returns the filter as totals know it.
func (f Filter) totals() (*totals.Filter, error) {
	t := &totals.Filter{Client: f.Client, Actor: f.Actor, Other: f.Source != "" || f.Event != "" || f.Category != "" || f.Reason != "" ||
		f.Product != "" || f.Verification != "" || f.Session != ""}
	for _, at := range []struct {
		text string
		to   *time.Time
	}{{f.StartTime, &t.From}, {f.EndTime, &t.To}} {
		if at.text == "" {
			continue
		}
		var err error
		if *at.to, err = time.Parse(time.RFC3339Nano, at.text); err != nil {
			return nil, errManifest
		}
	}
	switch {
	case strings.HasPrefix(f.Method, "/"):
		t.Method = f.Method
	case f.Method != "":
		t.MethodEnd = "/" + f.Method
	}
	var known bool
	if t.Outcome, known = record.ParseOutcomeKind(f.Outcome); !known && f.Outcome != "" {
		return nil, errManifest
	}
	return t, nil
}

// counted is the file of totals, which is read beside the rows: a total goes to the proof where it stands in the log.
type counted struct {
	*verification
	m     *Manifest
	sheet *sheet
	in    *source
	judge *totals.Judge // nil: nothing is compared
	next  uint64        // one more than the newest index
	row   uint64        // in the file
	cells row
	leaf  tree.Hash
	ahead bool // cells and leaf are of a total that is not in the proof yet
	found bool // there is something to read
}

// openTotals opens the file of totals, if the manifest names one.
func (v *verification) openTotals(m *Manifest) (*counted, error) {
	c := &counted{verification: v, m: m}
	name := TotalsFile(m.Format)
	filter, err := m.Filter.totals()
	if err != nil {
		return nil, err
	}
	compared := !m.Filter.Empty() && filter.Comparable()
	named := slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == name })
	var spans []totals.Span
	if c.sheet, err = newSheet(Layout{m.Format, m.Lang, m.BOM, m.Columns}); err == nil && named {
		if spans, err = v.spans(name, c.sheet); err != nil {
			return nil, err
		}
	}
	if compared {
		c.judge = totals.NewJudge(filter, m.Range.FromIndex, m.Range.ToIndex, spans, v.disagrees)
	}
	if !named {
		return c, nil
	}
	if c.in, err = v.open(m, name, maxLine); err != nil || !c.in.found {
		v.broken = true
		return c, err
	}
	if c.sheet == nil { // said of the rows
		return c, nil
	}
	c.found = true
	return c, c.heading()
}

// spans reads which totals there are. What is wrong with the file is found when it is read again.
func (v *verification) spans(name string, s *sheet) ([]totals.Span, error) {
	file, err := os.Open(filepath.Join(v.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var spans []totals.Span
	var cells row
	for in := bufio.NewReaderSize(file, maxLine); ; {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return spans, readable(err)
		}
		if err := v.ctx.Err(); err != nil {
			return nil, err
		}
		if s.parse(bytes.TrimRight(line, "\r\n"), &cells) != nil {
			continue
		}
		if r, err := record.Parse(cells.leaf); err == nil && r.Totals != nil && !slices.Contains(spans[max(0, len(spans)-2):], totals.SpanOf(r.Totals)) {
			spans = append(spans, totals.SpanOf(r.Totals))
		}
	}
}

func (c *counted) heading() error {
	heading := c.sheet.heading()
	if len(heading) == 0 {
		return nil
	}
	got, err := c.in.in.ReadSlice('\n')
	if !bytes.Equal(got, heading) {
		c.find(netlog.Tampered, "", "the heading is not that of the manifest's columns")
	}
	return readable(err)
}

// say names the row of this file in what do finds.
func (c *counted) say(do func()) {
	file, row, index := c.file, c.verification.row, c.index
	c.file, c.verification.row, c.index = c.in.want.Name, c.row, c.cells.index
	do()
	c.file, c.verification.row, c.index = file, row, index
}

func (c *counted) wrong(verdict netlog.Verdict, column, detail string) {
	c.say(func() { c.find(verdict, column, detail) })
}

// upTo puts the totals below an index to the proof. It reports whether the next one stands at the index, with this leaf.
func (c *counted) upTo(index uint64, leaf tree.Hash) (there bool, err error) {
	for {
		if !c.ahead {
			if err := c.read(); err != nil || !c.ahead {
				return false, err
			}
		}
		if c.cells.index >= index {
			break
		}
		if err := c.put(); err != nil {
			return false, err
		}
	}
	if c.cells.index > index {
		return false, nil
	}
	if c.leaf != leaf {
		c.broken = true
		c.wrong(netlog.Tampered, leafColumn, "is another record than the row of this index")
	}
	return true, c.put()
}

// rest puts what is left to the proof.
func (c *counted) rest() error {
	_, err := c.upTo(1<<64-1, tree.Hash{})
	return err
}

// put puts the total ahead to the proof, and to the judge.
func (c *counted) put() error {
	c.ahead = false
	if !c.broken {
		if err := c.batch.Add(c.cells.index, c.leaf); err != nil && !errors.Is(err, tree.ErrProof) && !errors.Is(err, tree.ErrOrder) {
			return err
		}
	}
	if c.judge != nil {
		c.judge.Total(c.cells.record.Totals)
	}
	return nil
}

// read reads the next total; none is ahead at the end of the file.
func (c *counted) read() error {
	for c.found {
		line, err := c.in.in.ReadSlice('\n')
		if err := readable(err); err != nil {
			return err
		}
		if len(line) == 0 {
			c.found = false
			return nil
		}
		if c.row++; err != nil {
			c.found, c.broken = false, true
			c.cells.index = c.next
			c.wrong(netlog.Missing, "", "the file ends inside of this row, or the row is too long")
			return nil
		}
		if c.accept(line) {
			c.ahead = true
			return nil
		}
	}
	return nil
}

// accept judges a row by itself.
func (c *counted) accept(line []byte) bool {
	refuse := func(column, detail string) bool {
		c.broken = true
		c.wrong(netlog.Tampered, column, detail)
		return false
	}
	if c.sheet.parse(bytes.TrimRight(line, "\r\n"), &c.cells) != nil {
		c.cells.index = c.next
		return refuse("", "is no row of an export")
	}
	if c.cells.index < c.next {
		return refuse(indexColumn, "stands behind a row of the same or a higher index")
	}
	c.next, c.leaf = c.cells.index+1, tree.LeafHash(c.cells.leaf)
	r, err := record.Parse(c.cells.leaf)
	if err != nil || r.Totals == nil {
		return refuse(leafColumn, "is no record of totals")
	}
	c.cells.record = r
	if again := c.sheet.line(nil, &c.cells); !bytes.Equal(again, line) {
		c.wrong(netlog.Tampered, "", "shows something else than its leaf")
	}
	return true
}

func (c *counted) close() error {
	if c.in == nil {
		return nil
	}
	return c.in.close()
}

// disagrees notes a group that has another number of rows than its total says.
func (v *verification) disagrees(d totals.Disagreement) {
	v.disagreed = true
	verdict, has := netlog.Tampered, fmt.Sprintf("export has %d", d.Has)
	if d.Less() {
		verdict = netlog.Missing
	}
	g := d.Group
	who := g.Actor
	if who == "" {
		who = strings.ToLower(g.Kind.String())
	}
	says := fmt.Sprintf("total says %d", g.Count)
	if g.Count == 0 {
		says = "no such record passes the filter, or is in the log"
	}
	v.about(EntriesFile(v.report.Manifest.Format), verdict, fmt.Sprintf("totals disagree, indexes %d to %d, hour %s, %s, %s, %s: %s, %s",
		d.From, d.To, hourText(g.Hour), who, methodText(g.Action), g.Outcome, says, has))
}

// about finds something that is wrong with a file as a whole.
func (v *verification) about(file string, verdict netlog.Verdict, detail string) {
	kept, row := v.file, v.row
	v.file, v.row = file, 0
	v.find(verdict, "", detail)
	v.file, v.row = kept, row
}

func hourText(hour uint64) string {
	return time.Unix(int64(hour)*3600, 0).In(beijing).Format("2006-01-02 15:04 -07:00")
}

func methodText(action string) string {
	if action == "" {
		return "no method"
	}
	return action
}

// concludeTotals says what came of the totals.
func (v *verification) concludeTotals(m *Manifest, c *counted) {
	switch {
	case m.Filter.Empty():
		return
	case c.judge == nil:
		v.report.Totals = TotalsNotComparable
		return
	}
	result := c.judge.End()
	v.report.Counted = result
	name := TotalsFile(m.Format)
	for _, s := range result.Unsound {
		v.about(name, netlog.Tampered, fmt.Sprintf("the total of records %d to %d does not count each of them once", s.From, s.To-1))
	}
	for _, r := range result.Uncounted {
		v.about(name, netlog.Missing, fmt.Sprintf("no total counts records %d to %d", r.From, r.To-1))
	}
	switch {
	case !v.report.Members:
		v.report.Totals = TotalsUnproven
	case v.disagreed || len(result.Unsound) > 0:
		v.report.Totals = TotalsDisagree
	case len(result.Uncounted) > 0:
		v.report.Totals = TotalsIncomplete
	case result.Older > 0 && result.Older == m.Range.ToIndex-m.Range.FromIndex:
		v.report.Totals = TotalsNone
	default:
		v.report.Totals = TotalsAgree
	}
}
