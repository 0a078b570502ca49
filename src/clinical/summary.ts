import { equal, parseUtf8, utf8 } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import { diagnosesOf, isActive } from "./diagnoses.ts"
import { chosenName, dateIn, listIn, personName } from "./fhir.ts"
import type { Chart } from "./fold.ts"
import { patientKeyOf, readChart } from "./reader.ts"

/** What the home page shows of a record. */
export interface Summary {
  readonly firstName: string
  readonly lastName: string
  /** YYYY-MM-DD, YYYY-MM, YYYY or "" */
  readonly birthDate: string
  /** The active ones, newest first, each text once. */
  readonly diagnoses: readonly string[]
  /** The Patient's key, or "" where the record has none. */
  readonly patient: string
  readonly archived: boolean
}

const format = 1
const maxBytes = 1024 * 1024
/** What the home page can show of one text, and of all diagnoses together, in UTF-16 units: whoever may write in a record cannot make a
 * row that is too large to be kept. */
const longestText = 1000
const longestDiagnoses = 200_000

export function summaryOf(chart: Chart): Summary {
  const reader = readChart(chart)
  const key = patientKeyOf(chart)
  const patient = key === null ? {} : reader.get(key)!
  const name = personName(listIn(patient.name)[chosenName(patient.name)])
  const active = diagnosesOf(reader).filter(isActive)
  return {
    firstName: name.given.slice(0, longestText),
    lastName: name.family.slice(0, longestText),
    birthDate: dateIn(patient.birthDate),
    diagnoses: fitting(new Set(active.map((diagnosis) => diagnosis.text.slice(0, longestText)))),
    patient: key ?? "",
    archived: chart.archived,
  }
}

/** As many as fit, from the newest on. */
function fitting(texts: Iterable<string>): string[] {
  const kept: string[] = []
  let length = 0
  for (const text of texts) {
    length += text.length
    if (length > longestDiagnoses) break
    kept.push(text)
  }
  return kept
}

/** Compact UTF-8 JSON: [1, first name, last name, birth date, [diagnosis, …], patient, archived 0 or 1].
 * @throws BAD_INPUT_SIZE above 1 MiB. Format: docs/formats/entry.md */
export function encodeSummary(summary: Summary): Uint8Array<ArrayBuffer> {
  const { firstName, lastName, birthDate, diagnoses, patient, archived } = summary
  const bytes = utf8(JSON.stringify([format, firstName, lastName, birthDate, diagnoses, patient, archived ? 1 : 0]))
  if (bytes.length > maxBytes) throw new AppError("BAD_INPUT_SIZE")
  return bytes
}

export function sameSummary(a: Summary, b: Summary): boolean {
  return equal(encodeSummary(a), encodeSummary(b))
}

/** @throws BAD_INPUT_FORMAT unless these are the very bytes that `encodeSummary` makes; BAD_INPUT_SIZE. */
export function parseSummary(bytes: Uint8Array): Summary {
  if (bytes.length > maxBytes) throw new AppError("BAD_INPUT_SIZE")
  let text: string
  let value: unknown
  try {
    text = parseUtf8(bytes)
    value = JSON.parse(text)
  } catch (cause) {
    throw new AppError("BAD_INPUT_FORMAT", undefined, { cause: cause instanceof SyntaxError ? undefined : cause })
  }
  if (!Array.isArray(value) || value.length !== 7 || JSON.stringify(value) !== text)
    throw new AppError("BAD_INPUT_FORMAT")
  const [version, firstName, lastName, birthDate, diagnoses, patient, archived] = value as readonly unknown[]
  const texts = [firstName, lastName, birthDate, patient]
  if (version !== format || (archived !== 0 && archived !== 1) || !texts.every((part) => typeof part === "string"))
    throw new AppError("BAD_INPUT_FORMAT")
  if (!Array.isArray(diagnoses) || !diagnoses.every((part) => typeof part === "string"))
    throw new AppError("BAD_INPUT_FORMAT")
  return {
    firstName: firstName as string,
    lastName: lastName as string,
    birthDate: birthDate as string,
    diagnoses: diagnoses as readonly string[],
    patient: patient as string,
    archived: archived === 1,
  }
}
