// Package people invents people for `heyan dataset sample`: names, ID numbers, phones, cards, plates
// and driver's licences that pass every check and belong to nobody.
//
// # The file
//
// [WriteCSV] writes what `heyan dataset import` reads: UTF-8, a header of field names ([Header]), a
// line feed after every row, no quoting (no cell needs it).
//
//	name,id_number,phone_number,bank_card_number,license_plate_number,driver_license_number,plate_kind
//
// A row is one true combination: every value in it belongs to the person named in it, and the phone
// of a row that has a card is the phone on file for that card. A cell may be empty: the row then says
// nothing about that field. A person with several phones, cards or cars has several rows, which repeat
// the name and the ID number; the rows of one anchor add up at import. A verdict MATCH needs one
// record that holds every asked link, so it can be had for the values of one row and never by
// combining two: not the other card's phone, and not the other holder of a shared phone or car.
//
// # Guaranteed
//
//   - The same seed and number of people give the same bytes for ever, on every machine: the only
//     source of chance is PCG-DXSM, whose output is specified, and a test holds a hash of the file. A
//     longer sample begins with the people of a shorter one, up to two million.
//   - No two people share an ID number, phone, card, plate or licence, except the pairs made to: about
//     1 in 125 people has a phone that is also on another name, as many a car with a second owner,
//     and one pair has the same plate text for two plate kinds.
//   - Every value is canonical as package verifier/field prints it and passes its checks, warnings
//     included, except a few licences of another document, which warn.
//   - Ages follow the census of 2020 as of 1 January 2026; so some are under fourteen today, fewer
//     each year. The child of [Cases] is under fourteen until 2038.
//
// # Not guaranteed
//
//   - That a value is nobody's. ID numbers, phones and plates are drawn from the ranges that are really
//     issued, so one may by chance be a real person's; its combination with a name and the other values
//     is invented. Send none to an authority, and call none. Cards cannot be real: their first digit is
//     7, which ISO/IEC 7812-1 sets aside for petroleum and not for banks.
//   - Secrecy. Whoever knows the seed knows the people.
//   - Demography beyond province, age, sex, surname and era of the given name: the divisions of a
//     province are drawn alike, and a code may be younger or older than the people who bear it.
//
// Where the tables come from is in data/NOTICE. Read [New], then [Generator.Cases].
package people
