package inspection

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"

	"github.com/heyan-project/heyan/store/netlog/export"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// Sample is one record with every column that it has.
type Sample struct {
	Index uint64
	Event string
	Cells []Cell
}

// Cell is a column, by its English name, and what it shows.
type Cell struct{ Name, Value string }

// sampler keeps the first records of each event.
type sampler struct {
	each int
	seen map[record.Event]int
	all  []Sample
}

func (s *sampler) add(index uint64, r *record.Record, leaf []byte) error {
	if s.seen[r.Event] >= s.each {
		return nil
	}
	s.seen[r.Event]++
	cells, err := cellsOf(index, leaf)
	if err != nil {
		return err
	}
	s.all = append(s.all, Sample{index, r.Event.String(), cells})
	return nil
}

// cellsOf shows a record as the export does, in the order of its columns.
func cellsOf(index uint64, leaf []byte) ([]Cell, error) {
	var line bytes.Buffer
	rows, err := export.NewRows(&line, export.Layout{Format: export.JSONL, Lang: export.English})
	if err != nil {
		return nil, err
	}
	if err := rows.Row(index, leaf, ""); err != nil {
		return nil, err
	}
	if err := rows.Flush(); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(&line)
	decoder.UseNumber()
	if _, err := decoder.Token(); err != nil { // the brace
		return nil, err
	}
	var cells []Cell
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		text := string(value)
		var word string
		if json.Unmarshal(value, &word) == nil {
			text = word
		}
		cells = append(cells, Cell{fmt.Sprint(name), text})
	}
	return cells, nil
}

// columnNames are the names of columns in a language, by their English ones.
func columnNames(lang export.Lang) (map[string]string, error) {
	var headings [2][]string
	for i, l := range []export.Lang{export.English, lang} {
		var text bytes.Buffer
		rows, err := export.NewRows(&text, export.Layout{Format: export.CSV, Lang: l})
		if err != nil {
			return nil, err
		}
		if err := rows.Flush(); err != nil {
			return nil, err
		}
		if headings[i], err = csv.NewReader(&text).Read(); err != nil {
			return nil, err
		}
	}
	names := make(map[string]string, len(headings[0]))
	for i, name := range headings[0] {
		names[name] = headings[1][i]
	}
	return names, nil
}
