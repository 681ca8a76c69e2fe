package embedded

import (
	"cmp"
	"context"
	"slices"

	"github.com/heyan-project/heyan/verifier/usage"
	"github.com/heyan-project/heyan/verifier/workday"
)

// Usage returns rows of usage.
func (s *Store) Usage(ctx context.Context, client string, from, to workday.Date) (rows []usage.Row, err error) {
	err = s.read(ctx, func() error {
		found, err := s.storedUsage(client)
		if err != nil {
			return err
		}
		for key, counts := range found {
			if !key.Day.Before(from) && !key.Day.After(to) {
				rows = append(rows, usage.Row{Key: key, Counts: counts})
			}
		}
		slices.SortFunc(rows, compareUsage)
		return nil
	})
	return rows, err
}

// storedUsage returns what is stored, and over it what is in memory and newer.
func (s *Store) storedUsage(client string) (map[usage.Key]usage.Counts, error) {
	// Under acts no checkpoint moves rows from memory to the database in between.
	s.acts.RLock()
	defer s.acts.RUnlock()
	prefix := []byte{rowUsage}
	if client != "" {
		prefix = clientKey(nil, rowUsage, client)
	}
	found := make(map[usage.Key]usage.Counts)
	err := each(s.business, prefix, nil, func(_, row []byte) error {
		key, counts, err := parseUsage(row)
		found[key] = counts
		return err
	})
	if err != nil {
		return nil, err
	}
	s.totals.using.Lock()
	defer s.totals.using.Unlock()
	for key, row := range s.totals.usage {
		if client == "" || key.Client == client {
			found[key] = row.Counts
		}
	}
	return found, nil
}

func compareUsage(a, b usage.Row) int {
	test := func(r *usage.Row) int {
		if r.Test {
			return 1
		}
		return 0
	}
	return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Client, b.Client),
		cmp.Compare(string(a.Product), string(b.Product)), cmp.Compare(test(&a), test(&b)))
}

// CountReplay adds one replay to a row of usage.
func (s *Store) CountReplay(_ context.Context, key usage.Key) error {
	return s.change(func(p *pair) error {
		a := addition{n: s.operation(), client: key.Client, key: key, counts: usage.Counts{Replayed: 1}}
		p.business.Set(operationKey(nil, a.n), a.append(nil))
		return s.totals.add(&a, 1)
	})
}
