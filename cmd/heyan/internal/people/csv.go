package people

import "io"

// Header is the first line of the file: the names of the fields, and the kind of the plate.
const Header = "name,id_number,phone_number,bank_card_number,license_plate_number,driver_license_number,plate_kind"

// Row is one line of the file: values that all belong together, "" where the row says nothing.
type Row struct {
	Name, ID, Phone, Card, Plate, Licence, PlateKind string
}

// rows is how many lines the person has: one at least, and one for each phone, card and car.
func (p *Person) rows() int { return max(1, len(p.Phones), len(p.Cards), len(p.Cars)) }

// row returns the k-th line. Its phone is the one on file for its card, if it has a card. The licence
// stands in the first line only.
func (p *Person) row(k int) Row {
	r := Row{Name: p.Name, ID: p.ID}
	switch {
	case k < len(p.Cards):
		r.Card, r.Phone = p.Cards[k].Number, p.Cards[k].Phone
	case k < len(p.Phones):
		r.Phone = p.Phones[k]
	}
	if k < len(p.Cars) {
		r.Plate, r.PlateKind = p.Cars[k].Plate, p.Cars[k].Kind
	}
	if k == 0 {
		r.Licence = p.Licence
	}
	return r
}

// Rows returns the person's lines in the file. Every phone, card and car stands in at least one.
func (p *Person) Rows() []Row {
	out := make([]Row, p.rows())
	for k := range out {
		out[k] = p.row(k)
	}
	return out
}

// AppendCSV appends the person's lines, each with its line feed.
func (p *Person) AppendCSV(b []byte) []byte {
	for k := range p.rows() {
		r := p.row(k)
		for _, cell := range [...]string{r.Name, r.ID, r.Phone, r.Card, r.Plate, r.Licence} {
			b = append(b, cell...)
			b = append(b, ',')
		}
		b = append(b, r.PlateKind...)
		b = append(b, '\n')
	}
	return b
}

// chunk is how many people are written at once, and how often progress is told.
const chunk = 1000

// WriteCSV writes a sample of n people to w, some 100 bytes a person, in writes of about 100 KiB.
// progress, which may be nil, is called with the number of people written so far, at least once per
// 1000 of them and at the end. It returns the first error of w; to stop early, let w fail.
func WriteCSV(w io.Writer, n int, seed uint64, progress func(done int)) error {
	g, err := New(seed, n)
	if err != nil {
		return err
	}
	buf := append(make([]byte, 0, chunk*256), Header...)
	buf = append(buf, '\n')
	for done := 0; done < n; {
		for end := min(n, done+chunk); done < end; done++ {
			p, _ := g.Next()
			buf = p.AppendCSV(buf)
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
		buf = buf[:0]
		if progress != nil {
			progress(done)
		}
	}
	return nil
}
