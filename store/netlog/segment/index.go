package segment

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"
	"sort"
)

// Token is what a search can ask for: a kind and a value, digested. Kinds are the caller's.
type Token uint64

// TokenOf digests a kind and a value.
func TokenOf(kind byte, value string) Token {
	var buf [130]byte
	buf[0] = kind
	sum := sha256.Sum256(append(buf[:1], value...))
	return Token(binary.BigEndian.Uint64(sum[:]))
}

// pair says that a frame holds a token, which is cut to its first bits.
type pair struct {
	token uint64
	frame uint32
}

// indexBuilder collects pairs. A frame's tokens come together.
type indexBuilder struct {
	pairs []pair
	seen  map[Token]struct{} // of the frame
}

func (x *indexBuilder) add(frame int, t Token) {
	if _, ok := x.seen[t]; ok {
		return
	}
	if x.seen == nil {
		x.seen = make(map[Token]struct{})
	}
	x.seen[t] = struct{}{}
	x.pairs = append(x.pairs, pair{uint64(t), uint32(frame)})
}

func (x *indexBuilder) frameDone() { clear(x.seen) }

// spare is how many bits a token keeps beyond those that would tell all pairs apart, so that of 2^spare tokens that are
// not there one looks as if it were.
const spare = 6

// tokenBits returns how many bits of a token an index of n pairs keeps.
func tokenBits(n int) int { return min(bits.Len(uint(n))+spare, 64) }

// indexBlock is how much of the index a block holds, in bytes before it is sealed.
const indexBlock = 4 << 10

// build sorts the pairs, and yields blocks, each with its first token.
//
// A block is a row of pairs: the difference of the token from the one before as a uvarint (from 0 at the beginning of a
// block), then the frame as a uvarint, less the frame before and one where the token is the same.
func (x *indexBuilder) build(yield func(first uint64, block []byte) error) (tokens int, err error) {
	kept := tokenBits(len(x.pairs))
	for i := range x.pairs {
		x.pairs[i].token >>= 64 - kept
	}
	slices.SortFunc(x.pairs, func(a, b pair) int {
		if a.token != b.token {
			if a.token < b.token {
				return -1
			}
			return 1
		}
		return int(a.frame) - int(b.frame)
	})
	x.pairs = slices.Compact(x.pairs) // two tokens of a frame that are equal in the bits kept
	block := make([]byte, 0, indexBlock+20)
	var first uint64
	var last pair
	for _, p := range x.pairs {
		if len(block) > indexBlock-20 {
			if err := yield(first, block); err != nil {
				return kept, err
			}
			block = block[:0]
		}
		if len(block) == 0 {
			first, last = p.token, pair{}
			block = binary.AppendUvarint(block, p.token)
			block = binary.AppendUvarint(block, uint64(p.frame))
		} else {
			block = binary.AppendUvarint(block, p.token-last.token)
			if p.token == last.token {
				block = binary.AppendUvarint(block, uint64(p.frame-last.frame-1))
			} else {
				block = binary.AppendUvarint(block, uint64(p.frame))
			}
		}
		last = p
	}
	if len(block) > 0 {
		err = yield(first, block)
	}
	return kept, err
}

// scanBlock calls fn with the pairs of a block until it returns false. It is false for what is no such block.
func scanBlock(block []byte, fn func(p pair) bool) bool {
	var last pair
	for begin := true; len(block) > 0; begin = false {
		token, n := binary.Uvarint(block)
		if n <= 0 {
			return false
		}
		block = block[n:]
		frame, n := binary.Uvarint(block)
		if n <= 0 || frame >= MaxFrames {
			return false
		}
		block = block[n:]
		p := pair{last.token + token, uint32(frame)}
		if p.token < last.token {
			return false
		}
		if !begin && token == 0 {
			p.frame += last.frame + 1
		}
		if last = p; !fn(p) {
			return true
		}
	}
	return true
}

// candidates returns the frames that may hold a token, in order.
func (f *File) candidates(t Token) ([]int, error) {
	table, want := f.footer.Index, uint64(t)>>(64-f.footer.TokenBits)
	if f.footer.TokenBits == 0 {
		return nil, nil
	}
	// The last block that begins below the token may end with it.
	at := max(sort.Search(len(table), func(i int) bool { return table[i].First >= want })-1, 0)
	var frames []int
	for ; at < len(table) && table[at].First <= want; at++ {
		block, err := f.block(kindIndex, at, table[at].offset, table[at].size)
		if err != nil {
			return nil, err
		}
		ok := scanBlock(block, func(p pair) bool {
			if p.token == want {
				frames = append(frames, int(p.frame))
			}
			return p.token <= want
		})
		if !ok || len(frames) > 0 && frames[len(frames)-1] >= f.Frames() {
			return nil, f.damage(kindIndex, at, "not pairs of tokens and frames")
		}
	}
	return frames, nil
}
