import { typeOf } from "./body.ts"
import { clipper, own } from "./clip.ts"
import { type DiagnosisView, isActiveStatus, readDiagnoses } from "./diagnoses.ts"
import { chosenName, codeIn, dateIn, listIn, personName } from "./fhir.ts"
import type { PatientFields } from "./fields.ts"
import type { Chart } from "./fold.ts"
import { formIn } from "./form.ts"
import type { JsonObject } from "./json-read.ts"
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

/** A type that the program has no words for gets a group of its own, unless there are very many. */
const mostTypes = 200
const otherTypes = "Other"
const mostDetails = 200
/** No field of the form takes so much: it can be shortened, and not be left. */
const longestField = 10_000
const short = clipper(1)

export function viewOf(chart: Chart): ChartView {
  const reader = readChart(chart)
  const key = patientKeyOf(chart)
  const patient = key === null ? {} : reader.get(key)!
  const chosen = chosenName(patient.name)
  const name = personName(listIn(patient.name)[chosen])
  const clip = clipper(chart.resources.size)
  const cut = (details: readonly Detail[]) =>
    details.slice(0, mostDetails).map(({ label, value }) => ({ label: short(label), value: short(value) }))
  const facts = {
    firstName: short(name.given),
    lastName: short(name.family),
    birthDate: short(dateIn(patient.birthDate)),
    sex: short(sexOf(patient)),
    deceased: short(deceasedOf(patient)),
    identifiers: cut(identifiersOf(patient)),
    contact: cut([...otherNamesOf(patient, chosen), ...contactOf(patient)]),
  }
  const allergies = new Set<string>()
  const groups = new Map<string, ResourceLine[]>()
  for (const other of chart.resources.keys()) {
    const type = typeOf(other)
    if (other === key || type === "Condition") continue
    const standing = type === "AllergyIntolerance" && isStanding(reader.get(other)!)
    if (standing) {
      allergies.add(clip(allergyText(reader.get(other)!)))
      continue
    }
    const { text, ...line } = lineOf(reader, other)
    const group = groups.has(type) || isUnderstood(type) || groups.size < mostTypes ? type : otherTypes
    const lines = groups.get(group) ?? []
    lines.push({ ...line, text: clip(text) })
    groups.set(group, lines)
  }
  const { views, form } = readDiagnoses(reader)
  return {
    ...facts,
    allergies: [...allergies],
    diagnoses: views,
    groups: [...groups].sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1)).map(toGroup),
    form: clipForm(formIn(reader, form)),
    archived: chart.archived,
  }
}

function clipForm(form: PatientFields): PatientFields {
  const clip = (text: string) => own(text.slice(0, longestField))
  return {
    firstName: clip(form.firstName),
    lastName: clip(form.lastName),
    birthDate: clip(form.birthDate),
    diagnosis: clip(form.diagnosis),
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
