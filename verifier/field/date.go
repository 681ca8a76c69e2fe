package field

import "time"

// date is a day as the decimal number yyyymmdd, which keeps the order of days. Zero is no day.
type date uint32

// earliestBirth: nobody registered since resident identity cards began (1984) was born before.
const earliestBirth date = 1850_01_01

// today is the day in Asia/Shanghai, which has been at +08:00 without summer time since 1991. The
// fixed offset needs no time zone database. By a UTC day, babies would be refused until 08:00.
func today(now time.Time) date {
	year, month, day := now.UTC().Add(8 * time.Hour).Date()
	return date(year*10000 + int(month)*100 + day)
}

// bornBy returns the day if it is a real one, not before earliestBirth and not after last; else 0.
func bornBy(year, month, day int, last date) date {
	born := date(year*10000 + month*100 + day)
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || born < earliestBirth || born > last {
		return 0
	}
	return born
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
