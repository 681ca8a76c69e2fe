package people

// The letters of plates (GA 36-2018): I and O are never used in a sequence.
const (
	serialLetters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
	energyLetters = "ABCDEFGHJK"
	authorities   = "ABCDE" // letters of licensing authorities that every province has
)

// How many sequences there are: five places with at most two letters (24 letters each), and the two
// forms of new-energy plates. Where a sample needs more, the authority's letter tells laps apart, so
// five times as many are unique in a province.
const (
	noLetter        = 100_000
	oneLetter       = 5 * 24 * 10_000
	twoLetters      = 10 * 24 * 24 * 1_000
	serials         = noLetter + oneLetter + twoLetters
	smallNewSerials = 10 * 34 * 10_000
	largeNewSerials = 10 * 100_000
)

// largeNewEvery: of this many people one can own a large new-energy vehicle; there are few such plates.
const largeNewEvery = 16

// plate is the ordinary plate of the person's slot-th car, five places after the authority's letter.
func (g *Generator) plate(i, slot int) string {
	index := uint64(i*2 + slot)
	x := g.plates.at(index % serials)
	var b [5]byte
	switch {
	case x < noLetter:
		put(b[:], x)
	case x < noLetter+oneLetter:
		x -= noLetter
		place := int(x / (24 * 10_000))
		spread(b[:], x%10_000, place, -1)
		b[place] = serialLetters[x/10_000%24]
	default:
		x -= noLetter + oneLetter
		places := letterPlaces[x/(24*24*1_000)]
		spread(b[:], x%1_000, places[0], places[1])
		b[places[0]] = serialLetters[x/1_000%24]
		b[places[1]] = serialLetters[x/(24*1_000)%24]
	}
	return g.join(i, x, index/serials, b[:])
}

// letterPlaces are the ways to choose two of five places.
var letterPlaces = [10][2]int{{0, 1}, {0, 2}, {0, 3}, {0, 4}, {1, 2}, {1, 3}, {1, 4}, {2, 3}, {2, 4}, {3, 4}}

// spread writes n in decimal over the places of b other than two.
func spread(b []byte, n uint64, skip, skipToo int) {
	for i := len(b) - 1; i >= 0; i-- {
		if i != skip && i != skipToo {
			b[i] = byte('0' + n%10)
			n /= 10
		}
	}
}

// smallNewPlate: a letter, a letter or digit, four digits.
func (g *Generator) smallNewPlate(i int) string {
	index := uint64(i)
	x := g.smallNew.at(index % smallNewSerials)
	var b [6]byte
	b[0] = energyLetters[x%10]
	if second := x / 10 % 34; second < 10 {
		b[1] = byte('0' + second)
	} else {
		b[1] = serialLetters[second-10]
	}
	put(b[2:], x/340)
	return g.join(i, x, index/smallNewSerials, b[:])
}

// largeNewPlate: five digits, a letter.
func (g *Generator) largeNewPlate(i int) string {
	index := uint64(i / largeNewEvery)
	x := g.largeNew.at(index % largeNewSerials)
	var b [6]byte
	put(b[:5], x/10)
	b[5] = energyLetters[x%10]
	return g.join(i, x, index/largeNewSerials, b[:])
}

// join puts the home province and an authority's letter before the sequence. The letter depends on the
// sequence and, one further each time, on the lap, so that equal sequences in one province differ.
func (g *Generator) join(i int, x, lap uint64, sequence []byte) string {
	home, _, _ := g.home(i)
	letter := authorities[(mix(g.seed^x)+lap)%uint64(len(authorities))]
	b := append(make([]byte, 0, 10), home.char...)
	b = append(b, letter)
	return string(append(b, sequence...))
}
