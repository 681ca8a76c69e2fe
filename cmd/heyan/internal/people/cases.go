package people

import "errors"

// role is what a person is made to show. The first people of every sample have fixed roles; of the
// rest a few pairs share a phone or a car. The second of a pair follows the first in this list.
type role uint8

const (
	plain      role = iota
	everything      // a value in every field, two phones, two cards, two cars
	firstSIM        // holds the phone that secondSIM has too
	secondSIM
	coOwner // owns the car that secondOwner has too
	secondOwner
	child    // under fourteen until 2038, with a phone
	twoKinds // plate of kind 02, whose text secondKind has as kind 07
	secondKind
)

// second reports whether a value of the person before is shared.
func (r role) second() bool { return r == secondSIM || r == secondOwner || r == secondKind }

// full reports whether the person has a phone whatever the age, and a card when grown up.
func (r role) full() bool { return r != plain }

// MinCases is the smallest sample that has all of [Cases].
const MinCases = 9

// One pair in pairsPerShare shares a phone, and as many a car.
const pairsPerShare = 125

// role of the person of index i. Person 0 stands alone, (1, 2), (3, 4), … are pairs.
func (g *Generator) role(i int) role {
	if i == 0 {
		return everything
	}
	pair, second := (i-1)/2, (i-1)%2 == 1
	first := plain
	switch pair {
	case 0:
		first = firstSIM
	case 1:
		first = coOwner
	case 2:
		if second {
			return plain
		}
		return child
	case 3:
		first = twoKinds
	default:
		switch mix(g.seed^mix(uint64(pair))) % pairsPerShare {
		case 0:
			first = firstSIM
		case 1:
			first = coOwner
		}
	}
	if first != plain && second {
		return first + 1
	}
	return first
}

// share gives p, the second of a pair, what the person before has, in place of a value of p's own.
func (g *Generator) share(p *Person, d *dice, i int, r role) {
	first := g.person(i-1, r-1)
	// Two people of one name would pass for one.
	for p.Name == first.Name {
		p.Name = g.tab.name(d, p.Birth.Year(), p.Male, 0)
	}
	switch r {
	case secondSIM:
		own := p.Phones[0]
		p.Phones[0] = first.Phones[0]
		for j := range p.Cards {
			if p.Cards[j].Phone == own {
				p.Cards[j].Phone = p.Phones[0]
			}
		}
	case secondOwner:
		p.Cars = append([]Car{first.Cars[0]}, p.Cars...)
		p.Cars = p.Cars[:min(len(p.Cars), 2)]
	case secondKind:
		p.Cars = []Car{{first.Cars[0].Plate, "07"}}
	}
}

// Cases are people of a sample that a demonstration or test can rely on.
type Cases struct {
	Everything Person    // a value in every field; two phones, two cards, cars of kind 02 and 52
	SharedSIM  [2]Person // Phones[0] of both is one number; names and all else differ
	CoOwned    [2]Person // Cars[0] of both is one car, kind 02
	Child      Person    // under fourteen until 2038, with a phone and no card, car or licence
	TwoKinds   [2]Person // Cars[0] of both have one plate text, of kind 02 and of kind 07
	Absent     Person    // like Everything, with valid numbers of which none is in the sample
}

// Cases returns them. A sample of fewer than [MinCases] people lacks some, which is an error.
// Absent is another person for another number of people.
func (g *Generator) Cases() (Cases, error) {
	if g.n < MinCases {
		return Cases{}, errors.New("people: a sample this small does not hold every case")
	}
	return Cases{
		Everything: g.At(0),
		SharedSIM:  [2]Person{g.At(1), g.At(2)},
		CoOwned:    [2]Person{g.At(3), g.At(4)},
		Child:      g.At(5),
		TwoKinds:   [2]Person{g.At(7), g.At(8)},
		Absent:     g.person(g.n, everything),
	}, nil
}
