package people

import (
	_ "embed"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
)

//go:embed data/divisions.txt
var divisionsText string

//go:embed data/provinces.txt
var provincesText string

//go:embed data/surnames.txt
var surnamesText string

//go:embed data/given.txt
var givenText string

//go:embed data/minority.txt
var minorityText string

// tables are the embedded files, read. Immutable.
type tables struct {
	divisions []string // six-digit codes of counties and districts, ascending
	provinces []province
	homes     uint64 // pairs of division and order code that are used
	surnames  weighted
	given     []given
	uyghur    [2]weighted // by sex
	tibetan   [2]weighted
	rare      weighted
}

// province is one of 31. Of each of its divisions as many order codes are used as make its share of
// the sample that of the population.
type province struct {
	code   int    // first two digits of its division codes
	char   string // on its plates
	first  int    // index of its first division
	orders uint64 // order codes used: 1 to orders
	start  uint64 // its first pair of division and order code
}

// load reads the embedded files once. A build with a defective one panics here, and its tests fail.
var load = sync.OnceValue(func() *tables {
	t := new(tables)
	for cells := range lines(divisionsText) {
		for _, last := range cells[1:] {
			t.divisions = append(t.divisions, cells[0]+last)
		}
	}
	for cells := range lines(provincesText) {
		t.addProvince(cells[0], cells[1], number(cells[2]))
	}
	for cells := range lines(surnamesText) {
		t.surnames.add(cells[0], number(cells[1]))
	}
	for cells := range lines(givenText) {
		t.given = append(t.given, given{
			upTo:     number(cells[0]),
			male:     cells[1] == "M",
			single:   number(cells[2]),
			one:      byRank(characters(cells[3])),
			first:    byRank(characters(cells[4])),
			followed: byRank(characters(cells[5])),
		})
	}
	for cells := range lines(minorityText) {
		w := byRank(cells[1:])
		switch cells[0] {
		case "uyghur-M", "uyghur-F":
			t.uyghur[sex(cells[0] == "uyghur-M")] = w
		case "tibetan-M", "tibetan-F":
			t.tibetan[sex(cells[0] == "tibetan-M")] = w
		case "rare":
			t.rare = w
		default:
			panic(fmt.Sprintf("people: unknown row %q of minority.txt", cells[0]))
		}
	}
	return t
})

// maxOrder is the highest order code that is used: 996 to 999 once marked centenarians and make the
// 15-digit form of an ID number ambiguous.
const maxOrder = 995

// addProvince needs the divisions, and the provinces before it. The factor is such that the most
// crowded divisions, Shanghai's, come close to maxOrder.
func (t *tables) addProvince(code, char string, population int) {
	first := sort.SearchStrings(t.divisions, code)
	count := sort.SearchStrings(t.divisions, code+"9999") - first
	orders := min(uint64(population*16/count), maxOrder) &^ 1 // even: as many of each sex
	t.provinces = append(t.provinces, province{number(code), char, first, orders, t.homes})
	t.homes += orders * uint64(count)
}

// home returns the province, the division and the order code of the x-th pair.
func (t *tables) home(x uint64) (p *province, division string, order int) {
	after := sort.Search(len(t.provinces), func(i int) bool { return t.provinces[i].start > x })
	p = &t.provinces[after-1]
	x -= p.start
	return p, t.divisions[p.first+int(x/p.orders)], int(x%p.orders) + 1
}

// lines yields the cells of each line, comments left out.
func lines(text string) func(yield func(cells []string) bool) {
	return func(yield func([]string) bool) {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			if !yield(strings.Fields(line)) {
				return
			}
		}
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}
