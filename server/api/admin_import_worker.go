package api

import (
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/subject"
)

// rowWorker is what one worker keeps from row to row.
type rowWorker struct {
	*rowImport
	values  []field.Value
	entries []dataset.Entry
	handles []subject.Handle // of a whole batch
}

// batch works one batch. The suppression set is asked once for all of its rows, and row by row only where somebody
// of the batch is in it: the store's lock is shared with every verification.
func (w *rowWorker) batch(b *rowBatch) {
	defer recovered(&b.failure)
	w.handles = w.handles[:0]
	if b.failure = w.rows(b, func(handles []subject.Handle) (bool, error) {
		w.handles = append(w.handles, handles...)
		return false, nil
	}); b.failure != nil {
		return
	}
	some, err := w.suppressed(w.handles)
	if err != nil || !some {
		b.failure = err
		return
	}
	b.clear()
	b.failure = w.rows(b, w.suppressed)
}

func (w *rowWorker) suppressed(handles []subject.Handle) (bool, error) {
	is, err := w.d.Store.Restricted(w.ctx, handles, store.Suppressed, w.now)
	return is, storeFault(err)
}

// rows turns the rows of a batch into entries and rejects. suppressed says of each good one whether its person is
// left out.
func (w *rowWorker) rows(b *rowBatch, suppressed func([]subject.Handle) (bool, error)) error {
	for i, row := range b.rows {
		kind, cause := w.parse(row)
		if cause == "" {
			out, err := suppressed(subject.Restrictions(w.d.Keys, w.values))
			if err != nil {
				return err
			}
			if out {
				b.suppressed++
				continue
			}
			w.entries = w.shape.Entries(w.entries[:0], w.d.Keys, w.values, row.GetPlateKind())
			if len(w.entries) == 0 {
				cause = causeNoAnchor
			}
		}
		if cause != "" {
			b.rejects = append(b.rejects, rowReject{b.first + uint64(i), kind, cause})
			continue
		}
		b.accepted++
		for j := range w.entries {
			b.records = dataset.AppendRecord(b.records, &w.entries[j].Record)
			b.entries = append(b.entries, entryEnd{w.entries[j].Anchor, len(b.records)})
		}
	}
	return nil
}

// parse reads the values of a row, or says what is wrong with the first bad one.
func (w *rowWorker) parse(row *heyanv1.ImportRows_Row) (field.Kind, string) {
	w.values = w.values[:0]
	for i, text := range cells(row.GetFields()) {
		if text == nil {
			continue
		}
		kind := field.Kind(i + 1)
		value, err := w.d.Rules.Parse(kind, *text, w.now)
		if err != nil {
			cause, _ := field.CauseOf(err)
			return kind, cause.String()
		}
		w.values = append(w.values, value)
	}
	if kind := row.GetPlateKind(); kind != "" && (!dataset.ValidPlateKind(kind) || row.GetFields().LicensePlateNumber == nil) {
		return field.LicensePlateNumber, causePlateKind
	}
	return 0, ""
}

// cells lists the six members in the order of their numbers; nil where one is absent.
func cells(f *heyanv1.Fields) [6]*string {
	if f == nil {
		return [6]*string{}
	}
	return [6]*string{f.Name, f.IdNumber, f.PhoneNumber, f.BankCardNumber, f.LicensePlateNumber, f.DriverLicenseNumber}
}
