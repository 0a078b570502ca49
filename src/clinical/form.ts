import { type Change, idOf } from "./body.ts"
import { formTag, isFormMade, readDiagnoses } from "./diagnoses.ts"
import { chosenName, conceptText, listIn, objectIn, objectsIn, personName, textIn, wholeNarrative } from "./fhir.ts"
import { cleanText, type PatientFields } from "./fields.ts"
import type { Chart } from "./fold.ts"
import { removeAt, setAt } from "./json-edit.ts"
import { readJson } from "./json-read.ts"
import { type ChartReader, patientKeyOf, readChart } from "./reader.ts"

/** What the form shows of a record. */
export function formOf(chart: Chart): PatientFields {
  return formIn(readChart(chart))
}

/** @param condition the one that the form's field shows, or `null` */
export function formIn(reader: ChartReader, condition = readDiagnoses(reader).form): PatientFields {
  const key = patientKeyOf(reader.chart)
  return {
    ...patientForm(key === null ? null : reader.chart.resources.get(key)!),
    diagnosis: condition === null ? "" : conceptText(reader.get(condition)!.code),
  }
}

/** The form's part of a Patient's JSON text. */
export function patientForm(text: string | null): Omit<PatientFields, "diagnosis"> {
  const patient = text === null ? {} : objectIn(readJson(text))
  const { given, family } = personName(listIn(patient.name)[chosenName(patient.name)])
  return { firstName: given, lastName: family, birthDate: textIn(patient.birthDate) }
}

/** What tells a Patient from others where names are missing. */
export interface PatientNumbers {
  readonly gender: string
  /** Each number by which another system knows them, with its system, as one text. Without a system it is nobody's number. */
  readonly numbers: readonly string[]
}

export function patientNumbers(text: string): PatientNumbers {
  const { gender, identifier } = objectIn(readJson(text))
  const numbers = objectsIn(identifier)
    .filter(({ system, value }) => textIn(system) !== "" && textIn(value) !== "")
    .map(({ system, value }) => JSON.stringify([textIn(system), textIn(value)]))
  return { gender: textIn(gender), numbers }
}

/** Makes the changes that turn a record into what the form says; none where nothing was edited.
 * A record without a patient gets a Patient with an official name, and a Condition if there is a diagnosis. Otherwise only
 * what was edited changes, inside the text that is there: given and family of the official (else current) name,
 * birthDate, and the one Condition that the field shows. Emptying the diagnosis takes the form's own Condition away and
 * makes one that was imported "inactive", since other resources may point at it.
 * @param fields   as `validatePatientFields` gave them.
 * @param newUuid  a fresh UUID in lower case at every call.
 * @param today    YYYY-MM-DD: the day on which a new diagnosis was recorded. */
export function changesFor(
  chart: Chart | null,
  fields: PatientFields,
  newUuid: () => string,
  today?: string,
): readonly Change[] {
  const reader = readChart(chart ?? { resources: new Map(), archived: false })
  const known = patientKeyOf(reader.chart)
  const key = known ?? `Patient/${newUuid()}`
  const changes: Change[] = []
  const text = known === null ? newPatient(idOf(key), fields) : editPatient(reader.chart.resources.get(known)!, fields)
  if (known === null || text !== reader.chart.resources.get(known)) changes.push([key, text])
  const condition = readDiagnoses(reader).form
  const shown = condition === null ? "" : conceptText(reader.get(condition)!.code)
  if (cleanText(shown) === cleanText(fields.diagnosis)) return changes
  if (condition === null) changes.push(newCondition(newUuid(), idOf(key), fields.diagnosis, today))
  else if (fields.diagnosis !== "")
    changes.push([condition, editCondition(reader.chart.resources.get(condition)!, fields.diagnosis)])
  else if (isFormMade(reader.get(condition)!)) changes.push([condition])
  else changes.push([condition, endCondition(reader.chart.resources.get(condition)!)])
  return changes
}

/** Puts name and birth date into a Patient's text. What describes the old value, and nothing else, goes with it: the
 * name's own rendering, a generated narrative that quotes it, extensions on the very element. */
export function editPatient(text: string, fields: Omit<PatientFields, "diagnosis">): string {
  const before = patientForm(text)
  const firstName = differs(before.firstName, fields.firstName)
  const lastName = differs(before.lastName, fields.lastName)
  const birthDate = differs(before.birthDate, fields.birthDate)
  let out = text
  if (firstName || lastName) out = editName(out, fields, firstName, lastName)
  if (birthDate) out = removeAt(setOrRemove(out, ["birthDate"], fields.birthDate), ["_birthDate"])
  const old = [firstName && before.firstName, lastName && before.lastName, birthDate && before.birthDate]
  return dropStaleNarrative(out, old)
}

/** Replaces what a Condition says. The codes and the narrative said what it was before, so they go: a code that
 * contradicts the text would be worse than none. History keeps them. */
function editCondition(text: string, diagnosis: string): string {
  return putCode(text, JSON.stringify({ text: diagnosis }))
}

/** Puts a whole `code` (JSON) into a Condition's text; a narrative that quotes the old one goes. */
export function putCode(text: string, code: string): string {
  const before = conceptText(objectIn(readJson(text)).code)
  const after = setAt(text, ["code"], code)
  return differs(before, conceptText(readJson(code))) ? dropStaleNarrative(after, [before]) : after
}

function endCondition(text: string): string {
  return setAt(text, ["clinicalStatus"], JSON.stringify(clinicalStatus("inactive")))
}

function editName(text: string, fields: Pick<PatientFields, "firstName" | "lastName">, first: boolean, last: boolean) {
  const names = objectIn(readJson(text)).name
  const index = chosenName(names)
  if (index < 0 || !Array.isArray(names)) return setAt(text, ["name"], JSON.stringify([officialName(fields)]))
  const name = objectsIn(names)[index]!
  const given = listIn(name.given).map(textIn)
  const textOnly = given.length === 0 && textIn(name.family) === ""
  let out = text
  if (last || textOnly) {
    out = setOrRemove(out, ["name", index, "family"], fields.lastName)
    out = removeAt(out, ["name", index, "_family"])
  }
  if (first || textOnly) {
    const path = ["name", index, "given"]
    const several = given.length > 1 && given.every((part) => !part.includes(" "))
    if (fields.firstName === "") out = removeAt(out, path)
    else if (given.length === 1) out = setAt(out, [...path, 0], JSON.stringify(fields.firstName))
    else out = setAt(out, path, JSON.stringify(several ? fields.firstName.split(" ") : [fields.firstName]))
    out = removeAt(out, ["name", index, "_given"])
  }
  return removeAt(out, ["name", index, "text"])
}

function dropStaleNarrative(text: string, old: readonly (string | false)[]): string {
  const narrative = wholeNarrative(objectIn(readJson(text)).text)
  return old.some((value) => value !== false && value !== "" && narrative.includes(value))
    ? removeAt(text, ["text"])
    : text
}

function setOrRemove(text: string, path: readonly (string | number)[], value: string): string {
  return value === "" ? removeAt(text, path) : setAt(text, path, JSON.stringify(value))
}

function differs(before: string, after: string): boolean {
  return cleanText(before) !== cleanText(after)
}

function newPatient(id: string, fields: PatientFields): string {
  return JSON.stringify({
    resourceType: "Patient",
    id,
    name: [officialName(fields)],
    ...(fields.birthDate === "" ? {} : { birthDate: fields.birthDate }),
  })
}

function officialName(fields: Pick<PatientFields, "firstName" | "lastName">) {
  return {
    use: "official",
    ...(fields.lastName === "" ? {} : { family: fields.lastName }),
    ...(fields.firstName === "" ? {} : { given: [fields.firstName] }),
  }
}

function newCondition(id: string, patient: string, diagnosis: string, today: string | undefined): Change {
  const text = JSON.stringify({
    resourceType: "Condition",
    id,
    meta: { tag: [formTag] },
    clinicalStatus: clinicalStatus("active"),
    code: { text: diagnosis },
    subject: { reference: isUuid(patient) ? `urn:uuid:${patient}` : `Patient/${patient}` },
    ...(today === undefined ? {} : { recordedDate: today }),
  })
  return [`Condition/${id}`, text]
}

function clinicalStatus(code: "active" | "inactive") {
  return { coding: [{ system: "http://terminology.hl7.org/CodeSystem/condition-clinical", code }] }
}

/** Whether an id can stand behind urn:uuid:. */
export function isUuid(id: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(id)
}
