import { AppError } from "../errors.ts"
import { type Change, typeOf } from "./body.ts"
import { diagnosisOf } from "./diagnoses.ts"
import { conceptText, joined, objectIn } from "./fhir.ts"
import { fieldLabels } from "./fields.ts"
import type { Chart } from "./fold.ts"
import { editPatient, patientForm, putCode } from "./form.ts"
import { conditionDetails, patientDetails } from "./history.ts"
import { rawAt, sameJson } from "./json-edit.ts"
import { readJson } from "./json-read.ts"
import type { Detail } from "./patient-details.ts"
import { readChart } from "./reader.ts"
import { lineOf } from "./resource-text.ts"

/** One thing that two physicians changed differently. Texts are for people, not JSON. */
export interface ConflictField {
  /** `Type/id`, or `Type/id#field` where a resource is put together field by field. */
  readonly key: string
  readonly label: string
  readonly before: string
  readonly mine: string
  readonly theirs: string
}

export interface Merge {
  /** Mine, where nobody is asked; none where theirs say the same already. */
  readonly changes: readonly Change[]
  /** Empty when the changes can be sent. One side may stand as it was before: only the whole resource is in conflict. */
  readonly conflicts: readonly ConflictField[]
}

/** By conflict key. */
export type Choices = Readonly<Record<string, "mine" | "theirs">>

/** Replays my changes over what others wrote since, resource by resource. Only a resource that both sides changed, and
 * changed differently, is a conflict.
 * @param base   the chart that my changes were made on.
 * @param theirs the chart as it is now. */
export function merge(base: Chart, mine: readonly Change[], theirs: Chart): Merge {
  const { changes, clashes } = compare(base, mine, theirs)
  return { changes, conflicts: clashes.flatMap((clash) => conflictFields(base, clash, theirs)) }
}

/** The changes that remain once the physician has chosen.
 * @throws CONFLICT_EDIT where a choice is missing. */
export function resolve(base: Chart, mine: readonly Change[], theirs: Chart, choices: Choices): readonly Change[] {
  const { changes, clashes } = compare(base, mine, theirs)
  const resolved = clashes.map((clash) => resolveClash(base, clash, theirs, choices))
  return [...changes, ...resolved.filter((change) => change !== null)]
}

function compare(base: Chart, mine: readonly Change[], theirs: Chart) {
  const changes: Change[] = []
  const clashes: Change[] = []
  for (const change of mine) {
    const [key, text] = change
    const [before, now] = [base.resources.get(key), theirs.resources.get(key)]
    if (same(text, now) || same(text, before)) continue
    if (same(before, now)) changes.push(change)
    else clashes.push(change)
  }
  return { changes, clashes }
}

function same(a: string | undefined, b: string | undefined): boolean {
  return a === undefined || b === undefined ? a === b : sameJson(a, b)
}

const patientFields = ["firstName", "lastName", "birthDate"] as const

function conflictFields(base: Chart, clash: Change, theirs: Chart): readonly ConflictField[] {
  const [key, mine] = clash
  const now = theirs.resources.get(key)
  const before = base.resources.get(key)
  if (mine !== undefined && now !== undefined) {
    if (typeOf(key) === "Patient") return patientConflict(key, before, mine, now)
    if (typeOf(key) === "Condition") return conditionConflict(key, before, mine, now)
  }
  const inWords = (chart: Chart): string => (chart.resources.has(key) ? lineOf(readChart(chart), key).text : "")
  const texts = { mine: inWords(withChange(theirs, clash)), theirs: inWords(theirs) }
  return [
    { key, label: typeOf(key) === "Condition" ? fieldLabels.diagnosis : typeOf(key), before: inWords(base), ...texts },
  ]
}

/** A chart in which one resource is another. */
function withChange({ resources, archived }: Chart, [changed, text]: Change): Chart {
  const mine = text === undefined ? [] : [[changed, text] as const]
  const get = (key: string) => (key === changed ? text : resources.get(key))
  const has = (key: string) => get(key) !== undefined
  const keys = () => new Set([...resources.keys(), ...mine.map(([key]) => key)]).values().filter(has)
  const all = () => keys().map((key): [string, string] => [key, get(key)!])
  return { resources: { size: resources.size, get, has, keys, [Symbol.iterator]: all }, archived }
}

function patientConflict(key: string, before: string | undefined, mine: string, theirs: string): ConflictField[] {
  const [old, my, their] = [patientForm(before ?? null), patientForm(mine), patientForm(theirs)]
  const fields: ConflictField[] = patientFields
    .filter((name) => my[name] !== their[name])
    .map((name) => ({
      key: `${key}#${name}`,
      label: fieldLabels[name],
      before: old[name],
      mine: my[name],
      theirs: their[name],
    }))
  if (sameJson(editPatient(theirs, my), mine)) return fields
  const details = before === undefined ? [] : patientDetails(before)
  const label = "Other details of the patient"
  return [...fields, otherField(key, label, details, patientDetails(mine), patientDetails(theirs))]
}

function conditionConflict(key: string, before: string | undefined, mine: string, theirs: string): ConflictField[] {
  const [old, my, their] = [before, mine, theirs].map((text) => (text === undefined ? "" : diagnosisText(text)))
  const [myCode, theirCode] = [codeOf(mine), codeOf(theirs)]
  const fields: ConflictField[] = sameJson(myCode, theirCode)
    ? []
    : [{ key: `${key}#diagnosis`, label: fieldLabels.diagnosis, before: old!, mine: my!, theirs: their! }]
  if (sameJson(putCode(theirs, myCode), mine)) return fields
  const words = (text: string | undefined): readonly Detail[] =>
    text === undefined
      ? []
      : conditionDetails(diagnosisOf(key, objectIn(readJson(text)))).filter(({ label }) => label !== "Code")
  return [...fields, otherField(key, "Other details of the diagnosis", words(before), words(mine), words(theirs))]
}

/** The details in which my side and theirs differ, one line a side. */
function otherField(
  key: string,
  label: string,
  before: readonly Detail[],
  mine: readonly Detail[],
  theirs: readonly Detail[],
): ConflictField {
  const write = (details: readonly Detail[]) => details.map((detail) => `${detail.label}: ${detail.value}`)
  const [old, my, their] = [write(before), write(mine), write(theirs)]
  const [mySet, theirSet] = [new Set(my), new Set(their)]
  const differing = (line: string) => mySet.has(line) !== theirSet.has(line)
  const texts = {
    before: joined(old.filter(differing), "; "),
    mine: joined(my.filter(differing), "; "),
    theirs: joined(their.filter(differing), "; "),
  }
  const told = texts.mine !== texts.theirs
  return { key: `${key}#other`, label, ...(told ? texts : { before: "", mine: "my version", theirs: "their version" }) }
}

function resolveClash(base: Chart, clash: Change, theirs: Chart, choices: Choices): Change | null {
  const [key, mine] = clash
  const now = theirs.resources.get(key)
  const fields = conflictFields(base, clash, theirs)
  if (fields.some((field) => !Object.hasOwn(choices, field.key))) throw new AppError("CONFLICT_EDIT")
  const chosen = (name: string): "mine" | "theirs" => choices[`${key}#${name}`] ?? "theirs"
  if (mine === undefined || now === undefined || fields[0]?.key === key) return choices[key] === "mine" ? clash : null
  const start = chosen("other") === "mine" ? mine : now
  const text =
    typeOf(key) === "Patient" ? choosePatient(start, mine, now, chosen) : chooseCondition(start, mine, now, chosen)
  return sameJson(text, now) ? null : [key, text]
}

type Chosen = (name: string) => "mine" | "theirs"

function choosePatient(start: string, mine: string, theirs: string, chosen: Chosen): string {
  const [my, their] = [patientForm(mine), patientForm(theirs)]
  const pick = (name: (typeof patientFields)[number]) => (chosen(name) === "mine" ? my[name] : their[name])
  return editPatient(start, { firstName: pick("firstName"), lastName: pick("lastName"), birthDate: pick("birthDate") })
}

function chooseCondition(start: string, mine: string, theirs: string, chosen: Chosen): string {
  const code = codeOf(chosen("diagnosis") === "mine" ? mine : theirs)
  return sameJson(codeOf(start), code) ? start : putCode(start, code)
}

function codeOf(condition: string): string {
  return rawAt(condition, ["code"]) ?? "{}"
}

function diagnosisText(condition: string): string {
  return conceptText(objectIn(readJson(condition)).code)
}
