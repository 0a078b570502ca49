/** How a date of numbers with slashes or hyphens is read: 9/7/1961 is 9 July with "dmy", 7 September with "mdy". */
export type DateOrder = "dmy" | "mdy"

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
const monthNames = [
  "january",
  "february",
  "march",
  "april",
  "may",
  "june",
  "july",
  "august",
  "september",
  "october",
  "november",
  "december",
]

/** Reads a date as people type it: 1961-07-09, 19610709, 9.7.1961, 9/7/1961, 9 Jul 1961, July 9, 1961; a year of two
 * digits is the last one that is not after `today`.
 * @param today YYYY-MM-DD
 * @returns YYYY-MM-DD of a day that exists, whenever it is; null for anything else. */
export function parseDate(text: string, today: string, order: DateOrder = "dmy"): string | null {
  const plain = text.normalize("NFKC").trim().toLowerCase().replace(/\s+/g, " ")
  let match = /^(\d{4})([-./ ]?)(\d{1,2})\2(\d{1,2})$/.exec(plain)
  if (match !== null && (match[2] !== "" || plain.length === 8)) return day(match[1]!, match[3]!, match[4]!, today)
  match = /^(\d{1,2})\. ?(\d{1,2})\. ?(\d{4}|\d{2})$/.exec(plain)
  if (match !== null) return day(match[3]!, match[2]!, match[1]!, today)
  match = /^(\d{1,2})([-/ ])(\d{1,2})\2(\d{4}|\d{2})$/.exec(plain)
  if (match !== null) {
    const [first, second] = [match[1]!, match[3]!]
    return order === "dmy" ? day(match[4]!, second, first, today) : day(match[4]!, first, second, today)
  }
  match = /^(\d{1,2})(?:st|nd|rd|th|\.)?[ -]?([a-z]+)\.?,?[ -]?(\d{4}|\d{2})$/.exec(plain)
  if (match !== null) return day(match[3]!, monthNumber(match[2]!), match[1]!, today)
  match = /^([a-z]+)\.?[ -]?(\d{1,2})(?:st|nd|rd|th)?,?[ -](\d{4}|\d{2})$/.exec(plain)
  if (match !== null) return day(match[3]!, monthNumber(match[1]!), match[2]!, today)
  return null
}

function monthNumber(name: string): string {
  const short = name === "sept" ? 8 : months.indexOf(name)
  return String((short >= 0 ? short : monthNames.indexOf(name)) + 1)
}

function day(yearText: string, monthText: string, dayText: string, today: string): string | null {
  const [month, dayOfMonth] = [Number(monthText), Number(dayText)]
  let year = Number(yearText)
  if (yearText.length === 2) {
    year += 100 * Math.floor(Number(today.slice(0, 4)) / 100)
    if (iso(year, month, dayOfMonth) > today) year -= 100
  }
  return exists(year, month, dayOfMonth) ? iso(year, month, dayOfMonth) : null
}

function exists(year: number, month: number, dayOfMonth: number): boolean {
  if (month < 1 || month > 12 || dayOfMonth < 1) return false
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  const length = month === 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31
  return dayOfMonth <= length
}

function iso(year: number, month: number, dayOfMonth: number): string {
  return [String(year).padStart(4, "0"), String(month).padStart(2, "0"), String(dayOfMonth).padStart(2, "0")].join("-")
}
