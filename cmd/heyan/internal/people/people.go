package people

import (
	"fmt"

	"github.com/heyan-project/heyan/verifier/workday"
)

// MaxPeople is the largest sample. Beyond it the plates would repeat.
const MaxPeople = 10_000_000

// Person is one invented person. Nothing in it is shared with another Person's memory.
type Person struct {
	Name    string
	ID      string       // id_number, 18 characters
	Birth   workday.Date // as in ID
	Male    bool         // as in ID
	Phones  []string     // phone_number, 11 digits; none to three
	Cards   []Card       // none to three
	Cars    []Car        // none to two
	Licence string       // driver_license_number; "" without a licence
}

// Card is a bank card and the phone on file for it.
type Card struct {
	Number string // bank_card_number, 16 to 19 digits
	Phone  string // "" when none is on file
}

// Car is a vehicle's plate and its plate kind (GA/T 16.7): 01 large, 02 small, 07 motorcycle, 51 large
// and 52 small new-energy; "" where the register does not say.
type Car struct {
	Plate string
	Kind  string
}

// Generator invents the people of one sample one after the other. [Generator.Next] is not safe for
// concurrent use; [Generator.At] and [Generator.Cases] are.
type Generator struct {
	n    int
	next int
	seed uint64
	laps int // how often the pairs of division and order code are gone through
	tab  *tables

	ids, phones, cards, plates, smallNew, largeNew, papers permutation
}

// New returns the generator of n people for a seed. n must be 1 to [MaxPeople].
func New(seed uint64, n int) (*Generator, error) {
	if n < 1 || n > MaxPeople {
		return nil, fmt.Errorf("people: a sample has 1 to %d people", MaxPeople)
	}
	tab := load()
	g := &Generator{
		n:    n,
		seed: seed,
		// One more than n, for the person who is not in the sample.
		laps:     int((uint64(n) + tab.homes) / tab.homes),
		tab:      tab,
		ids:      newPermutation(tab.homes, seed, 1),
		phones:   newPermutation(uint64(len(phonePrefixes))*1e8, seed, 2),
		cards:    newPermutation(1e9, seed, 3),
		plates:   newPermutation(serials, seed, 4),
		smallNew: newPermutation(smallNewSerials, seed, 5),
		largeNew: newPermutation(largeNewSerials, seed, 6),
		papers:   newPermutation(1e8, seed, 7),
	}
	return g, nil
}

// Len returns the number of people in the sample.
func (g *Generator) Len() int { return g.n }

// Next returns the next person; false after the last.
func (g *Generator) Next() (Person, bool) {
	if g.next == g.n {
		return Person{}, false
	}
	g.next++
	return g.At(g.next - 1), true
}

// At returns the person of index i, 0 ≤ i < Len, whatever Next has done. It panics on another index.
func (g *Generator) At(i int) Person {
	if i < 0 || i >= g.n {
		panic("people: no person of that index")
	}
	return g.person(i, g.role(i))
}

// person draws everything about one person from the seed and the index alone.
func (g *Generator) person(i int, r role) Person {
	d := newDice(g.seed, i)
	home, division, order := g.home(i)
	p := Person{Male: order%2 == 1, Birth: g.birth(d, i, r)}
	p.ID = identity(division, p.Birth, order)
	p.Name = g.tab.name(d, p.Birth.Year(), p.Male, home.code)

	age := referenceYear - p.Birth.Year() // at the end of the reference year; near enough for habits
	g.givePhones(&p, d, i, age, r)
	g.giveCards(&p, d, i, age, r)
	g.giveCars(&p, d, i, age, r)
	g.giveLicence(&p, d, i, age, r)
	if r.second() {
		g.share(&p, d, i, r)
	}
	return p
}

// home returns where the ID number was issued, and the order code there. The pairs of division and
// order code repeat after a lap, and the birth date then tells the two people apart.
func (g *Generator) home(i int) (p *province, division string, order int) {
	return g.tab.home(g.ids.at(uint64(i) % g.ids.n))
}

func (g *Generator) givePhones(p *Person, d *dice, i, age int, r role) {
	count := 0
	switch {
	case r == everything:
		count = 2
	case r.full():
		count = 1
	case age < 12:
		count = d.oneIn(6)
	case age < 75:
		count = d.pick(2, 79, 16, 3)
	default:
		count = d.pick(35, 63, 2)
	}
	for slot := range count {
		p.Phones = append(p.Phones, g.phone(i, slot))
	}
}

func (g *Generator) giveCards(p *Person, d *dice, i, age int, r role) {
	count := 0
	switch {
	case r == everything:
		count = 2
	case r == child:
	case r.full():
		count = 1
	case age >= 18:
		count = d.pick(12, 58, 22, 8)
	case age >= 14:
		count = d.oneIn(3)
	}
	for slot := range count {
		c := Card{Number: g.card(d, i, slot)}
		if len(p.Phones) > 0 {
			c.Phone = p.Phones[slot%len(p.Phones)]
		}
		p.Cards = append(p.Cards, c)
	}
}

func (g *Generator) giveCars(p *Person, d *dice, i, age int, r role) {
	switch {
	case r == everything:
		p.Cars = []Car{{g.plate(i, 0), "02"}, {g.smallNewPlate(i), "52"}}
	case r == coOwner || r == twoKinds:
		p.Cars = []Car{{g.plate(i, 0), "02"}}
	case age >= 20 && age < 75:
		for slot := range d.pick(74, 23, 3) {
			p.Cars = append(p.Cars, g.car(d, i, slot))
		}
	}
}

// car is one of the usual kinds. Only a person's first can be a new-energy vehicle, since the plates
// of those are fewer.
func (g *Generator) car(d *dice, i, slot int) Car {
	kind := d.pick(72, 18, 4, 4, 2)
	switch {
	case kind == 1 && slot == 0 && i%largeNewEvery == 0:
		return Car{g.largeNewPlate(i), "51"}
	case kind == 1 && slot == 0:
		return Car{g.smallNewPlate(i), "52"}
	case kind == 2:
		return Car{g.plate(i, slot), "01"}
	case kind == 3:
		return Car{g.plate(i, slot), "07"}
	case kind == 4:
		return Car{g.plate(i, slot), ""}
	}
	return Car{g.plate(i, slot), "02"}
}

func (g *Generator) giveLicence(p *Person, d *dice, i, age int, r role) {
	switch {
	case r == everything:
		p.Licence = p.ID
	case age < 19 || r == child:
	case d.below(300) == 0:
		p.Licence = g.paper(i)
	case len(p.Cars) > 0 || d.below(100) < 35:
		p.Licence = p.ID
	}
}
