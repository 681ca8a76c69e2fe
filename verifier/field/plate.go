package field

// A license_plate_number has one of the shapes of GA 36-2018 below, in upper case and without
// separators (space, · • and hyphen). Traditional characters become simplified for the closed set of
// characters that plates have, and for no others. The plate's kind (号牌种类) is no part of it.

// plateShapes writes each shape one character for one. Capital letters and Han characters stand for
// themselves, small letters for a class (see inClass):
//
//	p province   a authority letter   s letter or digit of the sequence   d digit
//	n energy letter   e letter of a military unit   u suffix of use   g suffix of a border plate   w suffix of the armed police
var plateShapes = [...]string{
	"passsss",            // ordinary
	"passssu",            // police, driving school, trailer, overlong, trial
	"粤Zssssg",            // Hong Kong and Macao vehicles
	"pansdddd",           // new energy, small
	"padddddn",           // new energy, large
	"dddddd使", "使dddddd", // embassies, now and earlier; two different plates
	"pdddd领", "pddddd领", // consulates
	"eeddddd",             // armed forces
	"WJddddw", "WJpddddw", // armed police
	"padddd应急", // emergency rescue
	"民航sssss",  // airports
}

// Shapes have 6 to 8 characters. Series that were superseded had up to 10; they are FORMAT, because
// their length is not what is wrong with them.
const (
	minPlate = 5
	maxPlate = 10
)

func readPlate(text string) (reading, Cause) {
	var space [maxPlate]rune
	n, changed := 0, false
	for _, r := range text {
		if isPlateSeparator(r) {
			changed = true
			continue
		}
		folded := foldPlateRune(r)
		if folded == 0 {
			return reading{}, Charset
		}
		changed = changed || folded != r
		if n < maxPlate {
			space[n] = folded
		}
		n++
	}
	if n < minPlate || n > maxPlate {
		return reading{}, Length
	}
	plate := space[:n]
	if !isPlate(plate) {
		return reading{}, Format
	}
	if changed {
		text = string(plate)
	}
	return reading{canonical: text}, 0
}

func isPlateSeparator(r rune) bool {
	return r == ' ' || r == middleDot || r == 0x2022 || r == '-'
}

// foldPlateRune returns the character as plates have it, or 0 if no plate could have it. Han
// characters that no plate has pass: the plate is then of a wrong shape, not wrongly typed.
func foldPlateRune(r rune) rune {
	switch {
	case r < 0x80:
		c := upper(byte(r))
		if isDigit(c) || isUpper(c) {
			return rune(c)
		}
		return 0
	case isHan(r):
		return simplifyPlateRune(r)
	}
	return 0
}

func simplifyPlateRune(r rune) rune {
	switch r {
	case '滬':
		return '沪'
	case '粵':
		return '粤'
	case '蘇':
		return '苏'
	case '遼':
		return '辽'
	case '贛':
		return '赣'
	case '魯':
		return '鲁'
	case '陝':
		return '陕'
	case '貴':
		return '贵'
	case '雲':
		return '云'
	case '寧':
		return '宁'
	case '瓊':
		return '琼'
	case '閩':
		return '闽'
	case '晉':
		return '晋'
	case '學':
		return '学'
	case '領':
		return '领'
	case '掛':
		return '挂'
	case '試':
		return '试'
	}
	return r
}

func isPlate(plate []rune) bool {
	for _, shape := range plateShapes {
		if fits(plate, shape) {
			return true
		}
	}
	return false
}

func fits(plate []rune, shape string) bool {
	i := 0
	for _, class := range shape {
		if i == len(plate) || !inClass(plate[i], class) {
			return false
		}
		i++
	}
	return i == len(plate)
}

// inClass reports whether a character of a plate may stand where a shape has class. The letter I is
// never used; O stands for a police authority or a military unit, never in a sequence.
func inClass(r, class rune) bool {
	switch class {
	case 'p':
		return isProvince(r)
	case 'a', 'e':
		return r >= 'A' && r <= 'Z' && r != 'I'
	case 's':
		return r >= 'A' && r <= 'Z' && r != 'I' && r != 'O' || r >= '0' && r <= '9'
	case 'd':
		return r >= '0' && r <= '9'
	case 'n':
		return r >= 'A' && r <= 'K' && r != 'I'
	case 'u':
		return r == '警' || r == '学' || r == '挂' || r == '试' || r == '超'
	case 'g':
		return r == '港' || r == '澳'
	case 'w':
		return isPolicePlateSuffix(r)
	}
	return r == class
}

func isPolicePlateSuffix(r rune) bool {
	switch r {
	case 'T', 'D', 'S', 'H', 'B', 'X', 'J':
		return true
	}
	return r >= '0' && r <= '9'
}

// isProvince reports whether r is one of the 31 characters that stand for a province.
func isProvince(r rune) bool {
	switch r {
	case '京', '津', '沪', '渝', '冀', '豫', '云', '辽', '黑', '湘', '皖', '鲁', '新', '苏', '浙', '赣',
		'鄂', '桂', '甘', '晋', '蒙', '陕', '吉', '闽', '贵', '粤', '青', '藏', '川', '宁', '琼':
		return true
	}
	return false
}
