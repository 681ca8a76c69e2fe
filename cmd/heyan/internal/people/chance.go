package people

import (
	"math/bits"
	"math/rand/v2"
)

// dice is the chance of one person. It draws from PCG-DXSM directly and never through rand.Rand, whose
// way of narrowing a number to a range is not part of what the standard library specifies.
type dice struct{ pcg rand.PCG }

func newDice(seed uint64, i int) *dice {
	d := new(dice)
	d.pcg.Seed(seed, mix(uint64(i)))
	return d
}

// below returns a number from 0 to n-1. The bias is less than n in 2⁶⁴.
func (d *dice) below(n uint64) int {
	high, _ := bits.Mul64(d.pcg.Uint64(), n)
	return int(high)
}

// oneIn returns 1 once in n times, else 0.
func (d *dice) oneIn(n uint64) int {
	if d.below(n) == 0 {
		return 1
	}
	return 0
}

// pick returns an index, with these weights.
func (d *dice) pick(weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	x := d.below(uint64(sum))
	for i, w := range weights {
		if x -= w; x < 0 {
			return i
		}
	}
	return 0
}

// mix is the finaliser of SplitMix64: a bijection that spreads every bit over all others.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// permutation is a bijection of 0 … n-1 that looks random: numbers made through it are unique without
// a set of those already given. A Feistel network over the next even number of bits, walked until it
// falls below n. It hides nothing.
type permutation struct {
	n    uint64
	half int
	keys [4]uint64
}

func newPermutation(n, seed, use uint64) permutation {
	p := permutation{n: n, half: (bits.Len64(n-1) + 1) / 2}
	for i := range p.keys {
		p.keys[i] = mix(seed ^ mix(use<<8|uint64(i)))
	}
	return p
}

// at returns the image of x, which must be below n.
func (p *permutation) at(x uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	for {
		left, right := x>>p.half, x&mask
		for _, k := range p.keys {
			left, right = right, left^mix(right^k)&mask
		}
		x = left<<p.half | right
		if x < p.n {
			return x
		}
	}
}
