import { equal, parseUtf8, utf8 } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import { own } from "./clip.ts"
import { diagnosisOf, isActive, readDiagnoses } from "./diagnoses.ts"
import { chosenName, dateIn, listIn, personName } from "./fhir.ts"
import type { Chart } from "./fold.ts"
import { countJson } from "./json-count.ts"
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
/** What the home page can show of one text, and of all diagnoses together, in UTF-16 units: whoever may write in records cannot make rows
 * that are too large to be kept. A patient with a hundred diagnoses has about 5,000. */
const longestText = 1000
/** The form takes no longer ones. */
const longestName = 200
const longestDiagnoses = 10_000
const mostDiagnoses = 500
/** Longer than any status that means something. */
const longestStatus = 40
/** JSON nodes of a summary that is read. */
const mostNodes = 20_000

export function summaryOf(chart: Chart): Summary {
  const reader = readChart(chart)
  const key = patientKeyOf(chart)
  const patient = key === null ? {} : reader.get(key)!
  const name = personName(listIn(patient.name)[chosenName(patient.name)])
  // Of very many texts few fit: they are read once it is known which are the newest.
  const active = readDiagnoses(reader, (text) => own(text.slice(0, longestStatus))).views.filter(isActive)
  const texts = active.values().map((view) => own(cut(diagnosisOf(view.key, reader.get(view.key)!).text)))
  return {
    firstName: own(cut(name.given, longestName)),
    lastName: own(cut(name.family, longestName)),
    birthDate: own(dateIn(patient.birthDate)),
    diagnoses: fitting(eachOnce(texts)),
    patient: key ?? "",
    archived: chart.archived,
  }
}

/** As many as fit, from the first on. */
function fitting(texts: Iterable<string>): string[] {
  const kept: string[] = []
  let length = 0
  for (const text of texts) {
    length += text.length
    if (length > longestDiagnoses || kept.length === mostDiagnoses) break
    kept.push(text)
  }
  return kept
}

function* eachOnce(texts: Iterable<string>): Iterable<string> {
  const seen = new Set<string>()
  for (const text of texts) {
    if (seen.has(text)) continue
    seen.add(text)
    yield text
  }
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

/** What is longer than `summaryOf` makes it is cut: a colleague's rows could else fill the memory of everybody who keeps a list.
 * @throws BAD_INPUT_FORMAT unless these are the very bytes that `encodeSummary` makes; BAD_INPUT_SIZE. */
export function parseSummary(bytes: Uint8Array): Summary {
  if (bytes.length > maxBytes) throw new AppError("BAD_INPUT_SIZE")
  countJson(bytes, 0, bytes.length, mostNodes, 2)
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
  return cutSummary({ firstName, lastName, birthDate, diagnoses, patient, archived: archived === 1 } as Summary)
}

/** What is longer than `summaryOf` makes it is cut as it would be there. What fits stays the very object: nearly all do. */
export function cutSummary<Row extends Summary>(row: Row): Row {
  if (fits(row)) return row
  const { firstName, lastName, birthDate, diagnoses, patient } = row
  return {
    ...row,
    firstName: cut(firstName, longestName),
    lastName: cut(lastName, longestName),
    birthDate: cut(birthDate, longestName),
    diagnoses: fitting(diagnoses.values().map((text) => cut(text))),
    patient: cut(patient),
  }
}

function fits({ firstName, lastName, birthDate, diagnoses, patient }: Summary): boolean {
  if (diagnoses.length > mostDiagnoses || patient.length > longestText) return false
  if (Math.max(firstName.length, lastName.length, birthDate.length) > longestName) return false
  let length = 0
  for (const text of diagnoses) {
    if (text.length > longestText) return false
    length += text.length
  }
  return length <= longestDiagnoses
}

function cut(text: string, most = longestText): string {
  return text.length > most ? own(text.slice(0, most)) : text
}
