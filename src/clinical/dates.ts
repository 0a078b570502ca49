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

/** Reads a date as people type it: 1961-07-09, 19610709, 9.7.1961, 25/7/1961, 9 Jul 1961, July 9, 1961; a year of two
 * digits is the last one that is not after `today`. Dots have the day first everywhere; slashes and hyphens have either first.
 * @param today YYYY-MM-DD
 * @returns YYYY-MM-DD of each day that can be meant and exists, whenever it is: two for 9/7/1961, the one with the day first
 * before the other; none for what is no date. */
export function readDates(text: string, today: string): readonly string[] {
  const plain = text.normalize("NFKC").trim().toLowerCase().replace(/\s+/g, " ")
  let match = /^(\d{4})([-./ ]?)(\d{1,2})\2(\d{1,2})$/.exec(plain)
  if (match !== null && (match[2] !== "" || plain.length === 8))
    return days([day(match[1]!, match[3]!, match[4]!, today)])
  match = /^(\d{1,2})\. ?(\d{1,2})\. ?(\d{4}|\d{2})$/.exec(plain)
  if (match !== null) return days([day(match[3]!, match[2]!, match[1]!, today)])
  match = /^(\d{1,2})([-/ ])(\d{1,2})\2(\d{4}|\d{2})$/.exec(plain)
  if (match !== null) {
    const [first, second] = [match[1]!, match[3]!]
    return days([day(match[4]!, second, first, today), day(match[4]!, first, second, today)])
  }
  match = /^(\d{1,2})(?:st|nd|rd|th|\.)?[ -]?([a-z]+)\.?,?[ -]?(\d{4}|\d{2})$/.exec(plain)
  if (match !== null) return days([day(match[3]!, monthNumber(match[2]!), match[1]!, today)])
  match = /^([a-z]+)\.?[ -]?(\d{1,2})(?:st|nd|rd|th)?,?[ -](\d{4}|\d{2})$/.exec(plain)
  if (match !== null) return days([day(match[3]!, monthNumber(match[1]!), match[2]!, today)])
  return []
}

/** "9 July" */
export function dayAndMonth(date: string): string {
  const name = monthNames[Number(date.slice(5, 7)) - 1] ?? ""
  return `${Number(date.slice(8))} ${name.charAt(0).toUpperCase()}${name.slice(1)}`
}

function days(read: readonly (string | null)[]): readonly string[] {
  return [...new Set(read)].filter((date) => date !== null)
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
