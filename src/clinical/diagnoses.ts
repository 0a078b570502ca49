import { clipper, own as ownText } from "./clip.ts"
import { codeIn, conceptText, firstDate, firstText, objectIn, objectsIn, textIn } from "./fhir.ts"
import type { JsonObject } from "./json-read.ts"
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

/** All Conditions, those that count first, then newest first; one without a date counts as newest if the form made it, else as oldest. And
 * the one that the form's field shows: the newest active one that the form made, else the newest active one, else none. Each is parsed once. */
export function readDiagnoses(
  reader: ChartReader,
  clip = clipper(reader.keysOf("Condition").length),
): { views: readonly DiagnosisView[]; form: string | null } {
  const rows = reader.keysOf("Condition").map((key, order) => {
    const condition = reader.get(key)!
    const { text, status, code, ...dates } = diagnosisOf(key, condition)
    const view = { ...dates, text: clip(text), status: clip(status), code: clip(code) }
    const own = isFormMade(condition)
    const when = firstText(view.since, ownText(firstDate(condition.recordedDate)), own ? "9999" : "0000")
    return { view, when, order, own }
  })
  rows.sort(
    (a, b) =>
      Number(isActive(b.view)) - Number(isActive(a.view)) ||
      (a.when < b.when ? 1 : a.when > b.when ? -1 : b.order - a.order),
  )
  const active = rows.filter(({ view }) => isActive(view))
  return { views: rows.map(({ view }) => view), form: (active.find(({ own }) => own) ?? active[0])?.view.key ?? null }
}

export function diagnosisOf(key: string, condition: JsonObject): DiagnosisView {
  const verification = codeIn(condition.verificationStatus)
  const isVoid = ["entered-in-error", "refuted"].includes(verification)
  return {
    key,
    text: firstText(conceptText(condition.code), "Diagnosis without a text"),
    status: isVoid ? verification : codeIn(condition.clinicalStatus),
    since: ownText(firstDate(condition.onsetDateTime, condition.onsetPeriod)),
    until: ownText(firstDate(condition.abatementDateTime, objectIn(condition.abatementPeriod).end)),
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

const systems: ReadonlyMap<string, string> = new Map([
  ["http://snomed.info/sct", "SNOMED CT"],
  ["http://hl7.org/fhir/sid/icd-10", "ICD-10"],
  ["http://hl7.org/fhir/sid/icd-10-cm", "ICD-10-CM"],
  ["http://hl7.org/fhir/sid/icd-9-cm", "ICD-9-CM"],
  ["http://fhir.de/CodeSystem/bfarm/icd-10-gm", "ICD-10-GM"],
  ["http://hl7.org/fhir/sid/icd-11", "ICD-11"],
  ["http://loinc.org", "LOINC"],
])

function codeWords(condition: JsonObject): string {
  const coding = objectsIn(objectIn(condition.code).coding)[0]
  if (coding === undefined || textIn(coding.code) === "") return ""
  const system = systems.get(textIn(coding.system))
  return system === undefined ? textIn(coding.code) : `${system} ${textIn(coding.code)}`
}
