// Package workday is the calendar arithmetic of Heyan: when a request of a data subject is due, how
// long a network log is kept, and who is under fourteen.
//
// Guaranteed:
//
//   - Every day begins at 00:00 +08:00, by a fixed offset. No time-zone database is read, and the
//     daylight saving time of 1986–1991 and local mean time before 1901 are left aside: deadlines lie
//     in the present, and a birth date is a date.
//   - Periods follow Civil Code arts. 200–204: the day they start on is not counted, a period of
//     months ends on the corresponding day or the end of its month, and a day ends at 24:00. Instants
//     that end a period are 00:00 of the next day and not part of it.
//   - A log record is never called purgeable before six calendar months are over. No fixed number of
//     days does that without being too long: a purge on the 180th day after is too early for every
//     start date, on the 183rd for about half of them, and only on the 185th for none.
//   - Working days come from a table of the year, and an answer that rests on a year without one says
//     that it is provisional.
//
// Not guaranteed:
//
//   - A provisional deadline can be later than the final one: counting Monday to Friday gives an
//     earlier day where a holiday falls into the period, but a later one where only a weekend day
//     worked to make up for a holiday does. Compute it again when the table is there. The bound of 30
//     calendar days holds in any case.
//   - The notice for a year can still change the last days of the year before it (Monday,
//     31 December 2018 became a day off by the notice for 2019).
//   - Holidays of Hong Kong, Macao and Taiwan are not known here.
//
// Nothing here reads a clock: today and now are arguments. Read [Calendar.SubjectRequestDue],
// [LastKept] and [UnderFourteen] next. The tables and where they come from are in data/NOTICE.
package workday
