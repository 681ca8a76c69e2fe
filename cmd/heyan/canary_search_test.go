package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// form is one way in which a value could lie somewhere.
type form struct {
	name  string
	bytes []byte
}

// seed is how many of a form's first bytes a search looks up; no form is shorter.
const seed = 8

// formsOf returns every form of a value that the search knows: its text in UTF-8, UTF-16, GBK and reversed, and its
// SHA-256, SHA-1, MD5 and SM3 cut to 16 bytes (so that a shortened one is found too), each as it is, in hexadecimal of
// both cases, and in base64 of both alphabets at each of the three places where it can begin.
func formsOf(value string) []form {
	texts := []form{{"UTF-8", []byte(value)}, {"reversed", []byte(reversed(value))}, {"UTF-16LE", utf16Of(value, binary.LittleEndian)},
		{"UTF-16BE", utf16Of(value, binary.BigEndian)}}
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(value)
	if err != nil {
		panic("canary: not in GBK: " + value)
	}
	texts = append(texts, form{"GBK", []byte(gbk)})
	all := slices.Clone(texts)
	for _, text := range texts {
		if text.name == "reversed" {
			continue
		}
		for _, sum := range bareDigests(text.bytes) {
			all = append(all, form{sum.name + " of " + text.name, sum.bytes[:16]})
		}
	}
	forms := make([]form, 0, 9*len(all))
	seen := map[string]bool{}
	for _, f := range all {
		for _, coded := range codings(f) {
			if !seen[string(coded.bytes)] {
				seen[string(coded.bytes)] = true
				forms = append(forms, coded)
			}
		}
	}
	return forms
}

func reversed(s string) string {
	runes := []rune(s)
	slices.Reverse(runes)
	return string(runes)
}

func utf16Of(s string, order binary.AppendByteOrder) (b []byte) {
	for _, unit := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, unit)
	}
	return b
}

func bareDigests(b []byte) []form {
	a, c, d, e := sha256.Sum256(b), sha1.Sum(b), md5.Sum(b), sm3(b)
	return []form{{"SHA-256", a[:]}, {"SHA-1", c[:]}, {"MD5", d[:]}, {"SM3", e[:]}}
}

func codings(f form) []form {
	list := []form{f}
	lower := hex.EncodeToString(f.bytes)
	list = append(list, form{"hex of " + f.name, []byte(lower)}, form{"HEX of " + f.name, []byte(strings.ToUpper(lower))})
	for place := range 3 {
		// What stands before and after shares its first and last characters with the value: those are left out.
		padded := append(make([]byte, place), f.bytes...)
		from, to := (8*place+5)/6, len(padded)*8/6
		list = append(list, form{fmt.Sprintf("base64+%d of %s", place, f.name), []byte(base64.RawStdEncoding.EncodeToString(padded)[from:to])},
			form{fmt.Sprintf("base64url+%d of %s", place, f.name), []byte(base64.RawURLEncoding.EncodeToString(padded)[from:to])})
	}
	return list
}

// canary is one marked value: unique, so that a hit names where it was sent.
type canary struct {
	value string
	where string // method and member
}

// search finds every form of every canary in any number of bytes, in one pass.
type search struct {
	needles map[uint64][]needle
	filter  []uint64 // a bit for each seed's hash: most places are dismissed by it
	count   int
	longest int
}

type needle struct {
	canary *canary
	form   form
}

const filterBits = 24

func newSearch(canaries []*canary) *search {
	s := &search{needles: map[uint64][]needle{}, filter: make([]uint64, 1<<(filterBits-6))}
	for _, c := range canaries {
		for _, f := range formsOf(c.value) {
			if len(f.bytes) < seed {
				panic(fmt.Sprintf("canary: %s of %q is too short to be told from chance", f.name, c.value))
			}
			key := binary.LittleEndian.Uint64(f.bytes)
			s.needles[key] = append(s.needles[key], needle{c, f})
			at := filterHash(key)
			s.filter[at>>6] |= 1 << (at & 63)
			s.count++
			s.longest = max(s.longest, len(f.bytes))
		}
	}
	return s
}

func filterHash(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> (64 - filterBits) }

// hit is where a canary was found.
type hit struct {
	canary *canary
	form   string
	offset int
}

// in returns the hits in b, each canary and form once.
func (s *search) in(b []byte) (hits []hit) {
	if len(b) < seed {
		return nil
	}
	type found struct {
		c *canary
		f string
	}
	seen := map[found]bool{}
	key := binary.BigEndian.Uint64(b)
	for i := 0; ; i++ {
		little := reverse8(key)
		if at := filterHash(little); s.filter[at>>6]&(1<<(at&63)) != 0 {
			for _, n := range s.needles[little] {
				if bytes.HasPrefix(b[i:], n.form.bytes) && !seen[found{n.canary, n.form.name}] {
					seen[found{n.canary, n.form.name}] = true
					hits = append(hits, hit{n.canary, n.form.name, i})
				}
			}
		}
		if i+seed >= len(b) {
			return hits
		}
		key = key<<8 | uint64(b[i+seed])
	}
}

func reverse8(x uint64) uint64 {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], x)
	return binary.LittleEndian.Uint64(b[:])
}

// none reports every hit as an error.
func (s *search) none(t testing.TB, where string, b []byte) {
	t.Helper()
	for _, h := range s.in(b) {
		t.Errorf("%s holds the %s of what was sent as %s, at %d", where, h.form, h.canary.where, h.offset)
	}
}

// The search finds each form wherever it begins, and nothing in bytes without one. Without this the canary test would
// prove nothing.
func TestCanarySearchFinds(t *testing.T) {
	noise := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz+/-_ \x00\xff"), 50)
	mint := &minter{}
	for _, kind := range []string{"name", "id", "phone", "card", "plate", "licence"} {
		c := &canary{value: mint.next(kind), where: kind}
		s := newSearch([]*canary{c})
		if hits := s.in(noise); len(hits) > 0 {
			t.Errorf("%s: %s found in noise", kind, hits[0].form)
		}
		for _, f := range formsOf(c.value) {
			for _, b := range [][]byte{f.bytes, append(slices.Clone(noise), f.bytes...), slices.Concat(noise, f.bytes, noise)} {
				if !slices.ContainsFunc(s.in(b), func(h hit) bool { return h.form == f.name }) {
					t.Errorf("%s: %s is not found", kind, f.name)
				}
			}
		}
		// As other programs would write it.
		for place := range 3 {
			text := base64.StdEncoding.EncodeToString(slices.Concat(noise[:place], []byte(c.value), noise[:5]))
			if len(s.in([]byte(text))) == 0 {
				t.Errorf("%s: not found in base64 after %d bytes", kind, place)
			}
		}
		for _, sum := range bareDigests([]byte(c.value)) {
			if len(s.in([]byte("x"+hex.EncodeToString(sum.bytes)))) == 0 {
				t.Errorf("%s: its %s is not found", kind, sum.name)
			}
		}
	}
}

// minter makes values that no other call makes, valid ones.
type minter struct{ n int }

// next returns a fresh value of a kind.
func (m *minter) next(kind string) string {
	m.n++
	n := m.n
	switch kind {
	case "name":
		// Characters that are rare in names, all in GBK, as digits.
		return string([]rune{0x7280 + rune(n%64), 0x9a80 + rune(n/64%64), 0x8c80 + rune(n/4096%64), 0x7a30 + rune(n*7%64), 0x8f40 + rune(n*11%64)})
	case "id":
		return withCheck(fmt.Sprintf("110105%04d%02d%02d%03d", 1950+n%50, 1+n/50%12, 1+n/600%28, n/16800%900+17))
	case "phone":
		return fmt.Sprintf("199%08d", (n*7919+40_000_000)%100_000_000)
	case "card":
		return withLuhn(fmt.Sprintf("62220234%010d", n*104_729))
	case "plate":
		return fmt.Sprintf("%c%c%05d", []rune("京津冀晋蒙辽吉黑沪苏")[n%10], "ABCDEFGHJK"[n/10%10], (n*31+10_007)%100_000)
	case "licence":
		return fmt.Sprintf("QX%08dZK", (n*7907+30_000_000)%100_000_000)
	}
	panic("canary: no such kind")
}

// withCheck appends the check character of GB 11643-1999, ISO 7064 MOD 11-2.
func withCheck(digits string) string {
	sum := 0
	for i, weight := range []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += int(digits[i]-'0') * weight
	}
	return digits + string("10X98765432"[sum%11])
}

// withLuhn appends the check digit of ISO/IEC 7812-1.
func withLuhn(digits string) string {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return digits + string(rune('0'+(10-sum%10)%10))
}
