// Package field reads the six fields that Heyan knows: name, id_number, phone_number,
// bank_card_number, license_plate_number and driver_license_number.
//
// [Rules.Parse] turns what a caller typed into a [Value], or refuses it with a typed [Cause].
//
// # Guaranteed
//
//   - The same real-world value gives the same canonical string, whatever separators, full-width
//     characters, letter case or older notation it was typed in; and so the same digest.
//   - Parsing is idempotent: a canonical string parses to itself.
//   - The canonical string depends on the input and the [Form] alone. Tables that age (six-digit
//     divisions, number ranges) only warn; they neither change a canonical string nor refuse a
//     person. The date decides what is refused as not yet born, and nothing else.
//   - No error, hint or panic holds any part of an input. A canonical string leaves only as a
//     [secret.Text].
//
// # Not guaranteed
//
//   - That a value exists or was issued: a number with a right check digit may be anybody's or
//     nobody's. That is what a source is asked.
//   - That look-alikes are understood. Cyrillic Х, Ⅹ, O for 0, I for 1 and masks (*) are refused,
//     never repaired, because a repaired value may be somebody else's. For the same reason NFKC is
//     used nowhere, and variants of a character (于 and 於, 吉 and 𠮷) stay apart.
//   - That Parse of an accepted value stays accepted on an earlier day (see above).
//   - Anything about the carrier of a phone number or the issuer of a card: numbers are ported and
//     BIN tables age, so neither is derived.
//
// # Order
//
// Every field goes through the same steps: at most [MaxBytes] bytes (LENGTH); valid UTF-8
// (CHARSET); invisible characters stripped; full-width ASCII and all spaces folded, TAB too; leading
// and trailing spaces, CR and LF trimmed, other C0 controls refused (CHARSET); nothing left (EMPTY);
// NFC; then the rule of the field, in the file named after it. NFC is that of Unicode 15.0 or later,
// which is the same for every character that a rule accepts.
//
// Read next: Parse and its files idnumber.go, phone.go, bankcard.go, plate.go, driverlicense.go,
// name.go; the vectors in testdata; [Rules.CarriesValue] for text meant for people.
package field
