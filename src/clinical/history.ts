import { typeOf } from "./content.ts"
import { type DiagnosisView, diagnosisOf } from "./diagnoses.ts"
import { chosenName, joined, objectIn } from "./fhir.ts"
import { fieldLabels } from "./fields.ts"
import { patientForm } from "./form.ts"
import { sameJson } from "./json-edit.ts"
import { type JsonObject, readJson } from "./json-read.ts"
import { contactOf, type Detail, deceasedOf, identifiersOf, otherNamesOf, sexOf } from "./patient-details.ts"
import type { Texts } from "./texts.ts"

/** One thing that changed, in words. */
export interface FieldChange {
  readonly label: string
  /** "" where there was nothing. */
  readonly before: string
  /** "" where nothing is left. */
  readonly after: string
}

export interface BodyChanges {
  /** What changed in Patients and Conditions. */
  readonly changes: readonly FieldChange[]
  /** All other resources, counted. */
  readonly resources: { readonly added: number; readonly changed: number; readonly removed: number }
}

type Resources = Pick<Texts, "has" | "get">

/** So many changes of Patients and Conditions are listed, and so many details of one; all others are counted with the rest. */
const mostChanges = 100

/** What an entry did to a chart's resources, in words.
 * @param keys what it names: nothing else is looked at. */
export function changesBetween(before: Resources, after: Resources, keys: Iterable<string>): BodyChanges {
  const changes: FieldChange[] = []
  const resources = { added: 0, changed: 0, removed: 0 }
  for (const key of keys) {
    const [had, has] = [before.has(key), after.has(key)]
    const type = changes.length < mostChanges ? typeOf(key) : ""
    const isCounted = type !== "Patient" && type !== "Condition"
    // Of what is counted, no text is made unless two have to be compared.
    if (had !== has && isCounted) resources[has ? "added" : "removed"]++
    if (!(had && has) && (isCounted || had === has)) continue
    const [old, fresh] = [before.get(key) ?? null, after.get(key) ?? null]
    if (old !== null && fresh !== null && sameJson(old, fresh)) continue
    if (type === "Patient") changes.push(...patientChanges(old, fresh))
    else if (type === "Condition") changes.push(...conditionChanges(key, old, fresh))
    else resources.changed++
  }
  return { changes, resources }
}

/** What differs between two texts of a Patient; null is none. Of one that is new, the form's fields. */
function patientChanges(before: string | null, after: string | null): readonly FieldChange[] {
  const [old, fresh] = [patientForm(before), patientForm(after)]
  const changes = (["firstName", "lastName", "birthDate"] as const)
    .filter((name) => old[name] !== fresh[name])
    .map((name) => ({ label: fieldLabels[name], before: old[name], after: fresh[name] }))
  if (before === null || after === null) return changes
  const details = detailChanges(patientDetails(before), patientDetails(after))
  if (changes.length + details.length > 0) return [...changes, ...details]
  return [{ label: "Other details of the patient", before: "", after: "changed" }]
}

/** What differs between two texts of a Condition; null is none. */
function conditionChanges(key: string, before: string | null, after: string | null): readonly FieldChange[] {
  const [old, fresh] = [diagnosisIn(key, before), diagnosisIn(key, after)]
  if (old === null || fresh === null)
    return [{ label: fieldLabels.diagnosis, before: old?.text ?? "", after: fresh?.text ?? "" }]
  const details = detailChanges(conditionDetails(old), conditionDetails(fresh))
  if (old.text !== fresh.text) {
    const more = details.map((change) => ({ ...change, label: `Diagnosis ${change.label.toLowerCase()}` }))
    return [{ label: fieldLabels.diagnosis, before: old.text, after: fresh.text }, ...more]
  }
  const found = details.length > 0 ? details : [{ label: "Other details", before: "", after: "changed" }]
  return found.map((change) => ({ ...change, label: `${old.text}: ${change.label.toLowerCase()}` }))
}

/** A Patient's details beyond the form's fields, in words. */
export function patientDetails(text: string): readonly Detail[] {
  const patient: JsonObject = objectIn(readJson(text))
  return [
    { label: "Sex", value: sexOf(patient) },
    { label: "Deceased", value: deceasedOf(patient) },
    ...identifiersOf(patient),
    ...otherNamesOf(patient, chosenName(patient.name)),
    ...contactOf(patient),
  ].filter((detail) => detail.value !== "")
}

/** A Condition's details beyond its text, in words. */
export function conditionDetails(diagnosis: DiagnosisView): readonly Detail[] {
  return [
    { label: "Status", value: diagnosis.status },
    { label: "Since", value: diagnosis.since },
    { label: "Until", value: diagnosis.until },
    { label: "Code", value: diagnosis.code },
  ]
}

function diagnosisIn(key: string, text: string | null): DiagnosisView | null {
  return text === null ? null : diagnosisOf(key, objectIn(readJson(text)))
}

/** Compares two lists of details, label by label. */
function detailChanges(before: readonly Detail[], after: readonly Detail[]): readonly FieldChange[] {
  const [old, fresh] = [valuesOf(before), valuesOf(after)]
  return Array.from(new Set([...old.keys(), ...fresh.keys()]), (label) => ({
    label,
    before: old.get(label) ?? "",
    after: fresh.get(label) ?? "",
  }))
    .filter((change) => change.before !== change.after)
    .slice(0, mostChanges)
}

/** By label. */
function valuesOf(details: readonly Detail[]): ReadonlyMap<string, string> {
  const values = new Map<string, string[]>()
  for (const { label, value } of details) {
    const those = values.get(label)
    if (those === undefined) values.set(label, [value])
    else those.push(value)
  }
  return new Map(Array.from(values, ([label, those]) => [label, joined(those, "; ")]))
}
