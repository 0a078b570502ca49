import { typeOf } from "./body.ts"
import { type DiagnosisView, diagnosesOf, isActiveStatus } from "./diagnoses.ts"
import { chosenName, codeIn, dateIn, type JsonObject, listIn, personName } from "./fhir.ts"
import type { PatientFields } from "./fields.ts"
import type { Chart } from "./fold.ts"
import { formIn } from "./form.ts"
import { contactOf, type Detail, deceasedOf, identifiersOf, otherNamesOf, sexOf } from "./patient-details.ts"
import { patientKeyOf, readChart } from "./reader.ts"
import { allergyText, lineOf, type ResourceLine } from "./resource-text.ts"

/** A chart in words: everything the record page shows that comes from FHIR. */
export interface ChartView {
  readonly firstName: string
  readonly lastName: string
  /** YYYY-MM-DD, YYYY-MM, YYYY or "" */
  readonly birthDate: string
  readonly sex: string
  /** "", a date, or "Yes" */
  readonly deceased: string
  readonly identifiers: readonly Detail[]
  readonly contact: readonly Detail[]
  /** The active ones; others stand among the groups. */
  readonly allergies: readonly string[]
  readonly diagnoses: readonly DiagnosisView[]
  /** Every other resource, by type, newest first, undated last. */
  readonly groups: readonly ResourceGroup[]
  readonly form: PatientFields
  readonly archived: boolean
}

export interface ResourceGroup {
  /** The FHIR type. */
  readonly type: string
  readonly lines: readonly ResourceLine[]
}

export function viewOf(chart: Chart): ChartView {
  const reader = readChart(chart)
  const key = patientKeyOf(chart)
  const patient = key === null ? {} : reader.get(key)!
  const chosen = chosenName(patient.name)
  const name = personName(listIn(patient.name)[chosen])
  const allergies = reader.keysOf("AllergyIntolerance").filter((k) => isStanding(reader.get(k)!))
  const apart = new Set([key, ...allergies, ...reader.keysOf("Condition")])
  const groups = new Map<string, ResourceLine[]>()
  for (const other of chart.resources.keys()) {
    if (apart.has(other)) continue
    const lines = groups.get(typeOf(other))
    if (lines === undefined) groups.set(typeOf(other), [lineOf(reader, other)])
    else lines.push(lineOf(reader, other))
  }
  return {
    firstName: name.given,
    lastName: name.family,
    birthDate: dateIn(patient.birthDate),
    sex: sexOf(patient),
    deceased: deceasedOf(patient),
    identifiers: identifiersOf(patient),
    contact: [...otherNamesOf(patient, chosen), ...contactOf(patient)],
    allergies: [...new Set(allergies.map((k) => allergyText(reader.get(k)!)))],
    diagnoses: diagnosesOf(reader),
    groups: [...groups].sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1)).map(toGroup),
    form: formIn(reader),
    archived: chart.archived,
  }
}

/** The words for a type's group: "Medication requests"; for a type without words of its own, its name. */
export function groupTitle(type: string): string {
  return Object.hasOwn(titles, type) ? titles[type]! : type.replace(/(?<=[a-z])[A-Z]/g, (c) => ` ${c.toLowerCase()}`)
}

/** Whether Healthcrypt has words for a type, beyond keeping it unchanged and showing the best text that it holds. */
export function isUnderstood(type: string): boolean {
  return Object.hasOwn(titles, type)
}

// The order is the one in which the page lists them.
const titles: Readonly<Record<string, string>> = {
  Patient: "Other patients",
  Condition: "Diagnoses",
  AllergyIntolerance: "Other allergies",
  MedicationRequest: "Medication requests",
  MedicationStatement: "Medication taken",
  MedicationAdministration: "Medication given",
  MedicationDispense: "Medication dispensed",
  Medication: "Medicines",
  Observation: "Observations",
  DiagnosticReport: "Reports",
  Procedure: "Procedures",
  Immunization: "Immunizations",
  Encounter: "Encounters",
  CarePlan: "Care plans",
  CareTeam: "Care teams",
  Goal: "Goals",
  ServiceRequest: "Orders",
  ImagingStudy: "Imaging",
  DocumentReference: "Documents",
  FamilyMemberHistory: "Family history",
  Device: "Devices",
  RelatedPerson: "Related persons",
  Practitioner: "Practitioners",
  PractitionerRole: "Practitioner roles",
  Organization: "Organizations",
  Location: "Locations",
  Coverage: "Coverage",
  Claim: "Claims",
  ExplanationOfBenefit: "Explanations of benefit",
  Provenance: "Provenance",
}

const order = Object.keys(titles)

function rank(type: string): number {
  const index = order.indexOf(type)
  return index < 0 ? order.length : index
}

function isStanding(allergy: JsonObject): boolean {
  const isVoid = ["entered-in-error", "refuted"].includes(codeIn(allergy.verificationStatus))
  return isActiveStatus(codeIn(allergy.clinicalStatus)) && !isVoid
}

function toGroup([type, lines]: [string, ResourceLine[]]): ResourceGroup {
  return { type, lines: lines.sort((a, b) => (a.date < b.date ? 1 : a.date > b.date ? -1 : 0)) }
}
