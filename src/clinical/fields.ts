import { AppError } from "../errors.ts"
import { dayAndMonth, readDates } from "./dates.ts"

/** The form's four fields. */
export interface PatientFields {
  readonly firstName: string
  readonly lastName: string
  /** YYYY-MM-DD; what came by import may also be YYYY-MM, YYYY or "". */
  readonly birthDate: string
  readonly diagnosis: string
}

const fieldLimits = { name: 200, diagnosis: 2000, earliestBirthDate: "1875-01-01" } as const
export const fieldLabels: Readonly<Record<keyof PatientFields, string>> = {
  firstName: "First name",
  lastName: "Last name",
  birthDate: "Date of birth",
  diagnosis: "Diagnosis",
}

export interface FieldOptions {
  /** What the form showed when it was opened: a field that is left as it was is taken as it is, even where a new one would be refused. */
  readonly before?: PatientFields
}

/** Checks what came out of a form, or out of a program, and cleans it: trimmed, NFC, the date as YYYY-MM-DD.
 * The diagnosis may be empty, the other fields may not.
 * @param today YYYY-MM-DD where the physician is.
 * @throws BAD_INPUT_FORM with a message for each field that has to change. */
export function validatePatientFields(input: unknown, today: string, options: FieldOptions = {}): PatientFields {
  if (typeof input !== "object" || input === null || Array.isArray(input))
    throw new AppError("BAD_INPUT_FORM", "Give firstName, lastName, birthDate and diagnosis, each as text.")
  const given = input as Readonly<Record<string, unknown>>
  const problems: Record<string, string> = {}
  const fields: Record<string, string> = {}
  for (const name of Object.keys(given))
    if (!Object.hasOwn(fieldLabels, name)) problems[name] = `There is no such field. Use ${names.join(", ")}.`
  for (const name of names) {
    const value = given[name] ?? ""
    if (typeof value !== "string") problems[name] = "Give this as text."
    else if (value === options.before?.[name]) fields[name] = value
    else {
      const result = clean(name, value, today)
      if ("problem" in result) problems[name] = result.problem
      else fields[name] = result.value
    }
  }
  const wrong = Object.keys(problems)
  if (wrong.length > 0) throw new AppError("BAD_INPUT_FORM", undefined, { fields: problems })
  return fields as unknown as PatientFields
}

/** Trimmed, NFC, line breaks as \n. */
export function cleanText(text: string): string {
  return text.normalize("NFC").replace(/\r\n?/g, "\n").trim()
}

const names = ["firstName", "lastName", "birthDate", "diagnosis"] as const
type Result = { readonly value: string } | { readonly problem: string }

function clean(name: keyof PatientFields, raw: string, today: string): Result {
  const value = cleanText(raw)
  if (name === "birthDate") return cleanBirthDate(value, today)
  if (name !== "diagnosis" && value === "") return { problem: `Enter the ${fieldLabels[name].toLowerCase()}.` }
  const limit = name === "diagnosis" ? fieldLimits.diagnosis : fieldLimits.name
  if ([...value].length > limit) return { problem: `Shorten this to at most ${limit} characters.` }
  const lines = name === "diagnosis" ? value.replace(/[\n\t]/g, " ") : value
  if (unfit.test(lines)) return { problem: "Remove the control characters. Typing the text again by hand helps." }
  return { value }
}

// Controls, line separators, characters that turn the direction of what follows, and halves of a character.
const unfit = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u

function cleanBirthDate(value: string, today: string): Result {
  if (value === "") return { problem: "Enter the date of birth, for example 1961-07-09." }
  const [date, other] = readDates(value, today)
  if (date === undefined) return { problem: "Enter a date that exists, for example 1961-07-09." }
  if (other !== undefined)
    return { problem: `Is this ${dayAndMonth(date)} or ${dayAndMonth(other)}? Write ${date} or ${other}.` }
  if (date > today) return { problem: "Enter a date of birth that is not in the future." }
  if (date < fieldLimits.earliestBirthDate) return { problem: "Enter a date of birth in 1875 or later." }
  return { value: date }
}
