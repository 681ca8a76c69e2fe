package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/heyan-project/heyan/verifier/fault"
)

// Table is the documents of one kind as values of T, encoded as JSON.
type Table[T any] struct {
	documents Documents
	kind      Kind
}

// TableOf returns the table of a kind.
func TableOf[T any](documents Documents, kind Kind) Table[T] { return Table[T]{documents, kind} }

// Row is one value with its id and revision.
type Row[T any] struct {
	ID       string
	Revision int64
	Value    T
}

// Get returns one, or ErrNotFound.
func (t Table[T]) Get(ctx context.Context, id string) (Row[T], error) {
	doc, err := t.documents.GetDocument(ctx, t.kind, id)
	if err != nil {
		return Row[T]{}, err
	}
	return t.decode(doc)
}

// Put stores a value in place of revision expect (0 = none yet) and returns its new revision, or ErrConflict.
func (t Table[T]) Put(ctx context.Context, id string, value T, expect int64) (int64, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return 0, fault.New(fault.InternalError).WithCause(fmt.Errorf("store: encoding a %s: %w", t.kind, err))
	}
	return t.documents.PutDocument(ctx, t.kind, id, encoded, expect)
}

// List returns values in ascending order of ids.
func (t Table[T]) List(ctx context.Context, prefix, after string, limit int) ([]Row[T], error) {
	docs, err := t.documents.ListDocuments(ctx, t.kind, prefix, after, limit)
	if err != nil {
		return nil, err
	}
	rows := make([]Row[T], len(docs))
	for i, doc := range docs {
		if rows[i], err = t.decode(doc); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (t Table[T]) decode(doc Document) (Row[T], error) {
	row := Row[T]{ID: doc.ID, Revision: doc.Revision}
	if err := json.Unmarshal(doc.Value, &row.Value); err != nil {
		// The decoder's own error may quote the document.
		return Row[T]{}, fault.New(fault.StoreUnavailable).WithCause(fmt.Errorf("store: a stored %s cannot be read", t.kind))
	}
	return row, nil
}
