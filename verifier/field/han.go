package field

// span is a closed range of code points.
type span struct{ first, last rune }

// hanSpans is every character with the Unicode property Unified_Ideograph in Unicode 17.0, that is
// through Extension J, and 〇 (U+3007), which names have. The table is Heyan's own because package
// unicode stops at 15.0: before Extension I, which was added for Chinese names, and before J.
//
// Not in it: the iteration mark 々, radicals, strokes, and compatibility ideographs, which NFC turns
// into unified ones. Twelve code points in the compatibility block are unified ideographs.
var hanSpans = [...]span{
	{0x3007, 0x3007},
	{0x3400, 0x4DBF}, // Extension A
	{0x4E00, 0x9FFF},
	{0xFA0E, 0xFA0F}, {0xFA11, 0xFA11}, {0xFA13, 0xFA14}, {0xFA1F, 0xFA1F},
	{0xFA21, 0xFA21}, {0xFA23, 0xFA24}, {0xFA27, 0xFA29},
	{0x20000, 0x2A6DF}, // Extension B
	{0x2A700, 0x2B81D}, // Extensions C and D
	{0x2B820, 0x2CEAD}, // Extension E
	{0x2CEB0, 0x2EBE0}, // Extension F
	{0x2EBF0, 0x2EE5D}, // Extension I
	{0x30000, 0x3134A}, // Extension G
	{0x31350, 0x33479}, // Extensions H and J
}

// isHan reports whether r is a Han character that a name may have.
func isHan(r rune) bool {
	if r >= 0x4E00 && r <= 0x9FFF {
		return true
	}
	for _, s := range hanSpans {
		if r <= s.last {
			return r >= s.first
		}
	}
	return false
}

// foldHan maps code points that are another one in disguise: the radicals that look like the
// ideograph and are typed for it, and the private-use code points of GBK that GB 18030 moved. It
// returns 0 for radicals and private use without an ideograph: they are refused, not guessed.
func foldHan(r rune) rune {
	t := tables()
	if t.privateUse.covers(r) {
		r = t.privateUse.fold(r) // some of them are radicals
	}
	if t.radicals.covers(r) {
		return t.radicals.fold(r)
	}
	return r
}
