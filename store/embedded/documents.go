package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"

	"github.com/heyan-project/heyan/store"
)

// GetDocument returns one document.
func (s *Store) GetDocument(ctx context.Context, kind store.Kind, id string) (doc store.Document, err error) {
	err = s.read(ctx, func() error {
		row, found, err := s.business.Get(nil, append(documentPrefix(nil, kind), id...))
		if err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		doc, err = parseDocument(id, row)
		return err
	})
	return doc, err
}

// A document's row is its revision as 8 bytes big endian and its value.
func parseDocument(id string, row []byte) (store.Document, error) {
	if len(row) < 8 {
		return store.Document{}, errRow
	}
	return store.Document{ID: id, Revision: int64(binary.BigEndian.Uint64(row)), Value: row[8:]}, nil
}

// PutDocument stores a value in place of a revision.
func (s *Store) PutDocument(_ context.Context, kind store.Kind, id string, value []byte, expect int64) (int64, error) {
	err := s.write(&s.documents, func(p *pair) error {
		key := append(documentPrefix(nil, kind), id...)
		row, found, err := s.business.Get(nil, key)
		if err != nil {
			return err
		}
		var current int64
		if found {
			doc, err := parseDocument(id, row)
			if err != nil {
				return err
			}
			current = doc.Revision
		}
		if current != expect || current == math.MaxInt64 {
			return store.ErrConflict
		}
		p.business.Set(key, append(binary.BigEndian.AppendUint64(nil, uint64(expect+1)), value...))
		return nil
	})
	if err != nil {
		return 0, err
	}
	return expect + 1, nil
}

// ListDocuments returns documents in ascending order of ids.
func (s *Store) ListDocuments(ctx context.Context, kind store.Kind, prefix, afterID string, limit int) (list []store.Document, err error) {
	err = s.read(ctx, func() error {
		before := documentPrefix(nil, kind)
		whole := append(bytes.Clone(before), prefix...)
		start := whole
		if afterID != "" {
			start = after(append(bytes.Clone(before), afterID...))
		}
		return each(s.business, whole, start, func(key, row []byte) error {
			if limit > 0 && len(list) == limit {
				return errStop
			}
			doc, err := parseDocument(string(key[len(before):]), bytes.Clone(row))
			list = append(list, doc)
			return err
		})
	})
	return list, err
}
