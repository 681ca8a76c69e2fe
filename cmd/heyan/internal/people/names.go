package people

import (
	"sort"
	"unicode/utf8"
)

// MiddleDot separates the parts of a name of several parts: U+00B7, and no other dot.
const MiddleDot = "·"

// weighted draws words by their weight.
type weighted struct {
	words []string
	upTo  []int // running sums of the weights
}

func (w *weighted) add(word string, weight int) {
	sum := weight
	if n := len(w.upTo); n > 0 {
		sum += w.upTo[n-1]
	}
	w.words, w.upTo = append(w.words, word), append(w.upTo, sum)
}

func (w *weighted) draw(d *dice) string {
	x := d.below(uint64(w.upTo[len(w.upTo)-1]))
	return w.words[sort.SearchInts(w.upTo, x+1)]
}

// byRank weights words in falling order, as frequencies of characters fall: about with the rank.
func byRank(words []string) weighted {
	var w weighted
	for rank, word := range words {
		w.add(word, 1000/(rank+6))
	}
	return w
}

// characters returns the runes of s as strings.
func characters(s string) []string {
	out := make([]string, 0, utf8.RuneCountInString(s))
	for _, r := range s {
		out = append(out, string(r))
	}
	return out
}

// given are the given names of one era and sex.
type given struct {
	upTo                 int // last year of birth
	male                 bool
	single               int // per cent of one-character names
	one, first, followed weighted
}

// The provinces whose names have their own shape: Xinjiang and Tibet.
const (
	xinjiang = 65
	tibet    = 54
)

// name draws a full name, canonical as fields of verifier/field are. Of every thousand Han names a few
// have a rare character, some outside the Basic Multilingual Plane.
func (t *tables) name(d *dice, year int, male bool, province int) string {
	uyghur, tibetan := 1, 1 // per thousand
	switch province {
	case xinjiang:
		uyghur = 550
	case tibet:
		tibetan = 850
	}
	switch x := d.below(1000); {
	case x < uyghur:
		return t.uyghur[sex(male)].draw(d) + MiddleDot + t.uyghur[sex(true)].draw(d)
	case x < uyghur+tibetan:
		return t.tibetan[sex(male)].draw(d) + t.tibetan[sex(male)].draw(d)
	}
	surname := t.surnames.draw(d)
	rare := d.below(250) == 0
	for i := range t.given {
		e := &t.given[i]
		if e.male != male || year > e.upTo {
			continue
		}
		single := d.below(100) < e.single
		switch {
		case single && rare:
			return surname + t.rare.draw(d)
		case single:
			return surname + e.one.draw(d)
		case rare:
			return surname + e.first.draw(d) + t.rare.draw(d)
		}
		return surname + e.first.draw(d) + e.followed.draw(d)
	}
	return surname
}

// sex is the index of the tables kept by sex.
func sex(male bool) int {
	if male {
		return 1
	}
	return 0
}
