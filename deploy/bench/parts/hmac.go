package main

import (
	"crypto/rand"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/subject"
)

// hashed is how fast the HMACs of an import are computed and nothing else.
type hashed struct {
	Rows      int     `json:"rows"`
	PerSecond float64 `json:"rows_per_second"`
	Digests   float64 `json:"digests_per_row"` // kept: links, without anchors
}

// row is one row of the CSV, parsed.
type row struct {
	values    []field.Value
	plateKind string
}

// hashRows parses rows first, and then computes on every processor what an import computes of them: anchors, links,
// and the handles by which erased persons are left out.
func hashRows(path string, limit int) (*hashed, error) {
	rows, err := readRows(path, limit)
	if err != nil {
		return nil, err
	}
	catalogue, err := product.NewCatalogue(product.Builtin())
	if err != nil {
		return nil, err
	}
	shape := dataset.Shape(catalogue.Shape())
	chain, err := digest.NewChain(rand.Reader, time.Now())
	if err != nil {
		return nil, err
	}
	keys := digest.NewKeyring(chain)
	workers := runtime.GOMAXPROCS(0)
	links := make([]int, workers)
	began := time.Now()
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			var entries []dataset.Entry
			for i := w; i < len(rows); i += workers {
				subject.Restrictions(keys, rows[i].values)
				entries = shape.Entries(entries[:0], keys, rows[i].values, rows[i].plateKind)
				for k := range entries {
					links[w] += len(entries[k].Record.Links)
				}
			}
		})
	}
	group.Wait()
	elapsed := time.Since(began)
	total := 0
	for _, n := range links {
		total += n
	}
	return &hashed{len(rows), float64(len(rows)) / elapsed.Seconds(), float64(total) / float64(len(rows))}, nil
}

func readRows(path string, limit int) ([]row, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	in := csv.NewReader(file)
	header, err := in.Read()
	if err != nil {
		return nil, err
	}
	rules, err := field.NewRules(nil)
	if err != nil {
		return nil, err
	}
	var rows []row
	for now := time.Now(); len(rows) < limit; {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		var r row
		for i, name := range header {
			kind, known := field.KindByName(name)
			switch {
			case cells[i] == "":
			case !known:
				r.plateKind = cells[i]
			default:
				value, err := rules.Parse(kind, cells[i], now)
				if err != nil {
					return nil, errors.New("a row that the rules refuse")
				}
				r.values = append(r.values, value)
			}
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return nil, errors.New("no rows")
	}
	return rows, nil
}
