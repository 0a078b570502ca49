import { codeIn, conceptText, firstDate, firstText, type JsonObject, objectIn, objectsIn, textIn } from "./fhir.ts"
import type { ChartReader } from "./reader.ts"

/** A Condition in words. */
export interface DiagnosisView {
  readonly key: string
  readonly text: string
  /** "active", "resolved", … as FHIR says; "entered-in-error" or "refuted" where that is so; "" where absent. */
  readonly status: string
  /** YYYY-MM-DD, YYYY-MM, YYYY or "" */
  readonly since: string
  readonly until: string
  /** Such as "SNOMED CT 38341003". */
  readonly code: string
}

/** The tag by which the form knows the Condition that it made. */
export const formTag = { system: "urn:healthcrypt:origin", code: "form" } as const

export function isFormMade(condition: JsonObject): boolean {
  return objectsIn(objectIn(condition.meta).tag).some(
    (tag) => tag.system === formTag.system && tag.code === formTag.code,
  )
}

/** All Conditions: those that count first, then newest first. One without a date counts as newest if the form made it, else as oldest. */
export function diagnosesOf(reader: ChartReader): readonly DiagnosisView[] {
  const rows = reader.keysOf("Condition").map((key, order) => {
    const condition = reader.get(key)!
    const view = diagnosisOf(key, condition)
    const when = firstText(view.since, firstDate(condition.recordedDate), isFormMade(condition) ? "9999" : "0000")
    return { view, when, order }
  })
  rows.sort(
    (a, b) =>
      Number(isActive(b.view)) - Number(isActive(a.view)) ||
      (a.when < b.when ? 1 : a.when > b.when ? -1 : b.order - a.order),
  )
  return rows.map((row) => row.view)
}

export function diagnosisOf(key: string, condition: JsonObject): DiagnosisView {
  const verification = codeIn(condition.verificationStatus)
  const isVoid = ["entered-in-error", "refuted"].includes(verification)
  return {
    key,
    text: firstText(conceptText(condition.code), "Diagnosis without a text"),
    status: isVoid ? verification : codeIn(condition.clinicalStatus),
    since: firstDate(condition.onsetDateTime, condition.onsetPeriod),
    until: firstDate(condition.abatementDateTime, objectIn(condition.abatementPeriod).end),
    code: codeWords(condition),
  }
}

/** Whether a diagnosis stands: an absent status counts as active, as FHIR leaves it out of old data. */
export function isActive(diagnosis: DiagnosisView): boolean {
  return isActiveStatus(diagnosis.status)
}

export function isActiveStatus(clinicalStatus: string): boolean {
  return ["active", "recurrence", "relapse", ""].includes(clinicalStatus)
}

/** The Condition that the form's diagnosis field shows: the newest active one that the form made, else the newest
 * active one, else none. */
export function formCondition(reader: ChartReader): string | null {
  const active = diagnosesOf(reader).filter(isActive)
  const own = active.find((diagnosis) => isFormMade(reader.get(diagnosis.key)!))
  return (own ?? active[0])?.key ?? null
}

const systems: Readonly<Record<string, string>> = {
  "http://snomed.info/sct": "SNOMED CT",
  "http://hl7.org/fhir/sid/icd-10": "ICD-10",
  "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10-CM",
  "http://hl7.org/fhir/sid/icd-9-cm": "ICD-9-CM",
  "http://fhir.de/CodeSystem/bfarm/icd-10-gm": "ICD-10-GM",
  "http://hl7.org/fhir/sid/icd-11": "ICD-11",
  "http://loinc.org": "LOINC",
}

function codeWords(condition: JsonObject): string {
  const coding = objectsIn(objectIn(condition.code).coding)[0]
  if (coding === undefined || textIn(coding.code) === "") return ""
  const system = systems[textIn(coding.system)]
  return system === undefined ? textIn(coding.code) : `${system} ${textIn(coding.code)}`
}
