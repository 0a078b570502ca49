import { listIn, objectIn, objectsIn } from "./fhir.ts"
import type { Json, JsonObject } from "./json-read.ts"

/* Shapes that R4 (4.0.1) does not have, by type. A bundle does not say its version, so these have to.
 * Source: hl7.org/fhir/R4 and R5, "R3 Diff" and "R4 Diff" of each resource page. */

const older = "DSTU2 or STU3"
const newer = "R5"

const goneTypes: Readonly<Record<string, string>> = {
  MedicationOrder: older,
  DiagnosticOrder: older,
  DiagnosticRequest: older,
  ProcedureRequest: older,
  ReferralRequest: older,
  DeviceUseRequest: older,
  DeviceComponent: older,
  ProcessRequest: older,
  ProcessResponse: older,
  EligibilityRequest: older,
  EligibilityResponse: older,
  Sequence: older,
  BodySite: older,
  Conformance: older,
  ImagingManifest: older,
  ImagingObjectSelection: older,
  ImagingSelection: newer,
  Transport: newer,
  Permission: newer,
  DeviceAssociation: newer,
  DeviceDispense: newer,
  GenomicStudy: newer,
  FormularyItem: newer,
  InventoryItem: newer,
  BiologicallyDerivedProductDispense: newer,
  EncounterHistory: newer,
}

const shapes: Readonly<Record<string, (resource: JsonObject) => string | null>> = {
  Patient: (r) => when(has(r, "careProvider", "animal") || objectsIn(r.name).some((n) => isList(n.family)), older),
  Condition: (r) =>
    when(isText(r.clinicalStatus) || isText(r.verificationStatus) || has(r, "patient", "dateRecorded"), older) ??
    when(has(r, "participant"), newer),
  AllergyIntolerance: (r) =>
    when(isText(r.clinicalStatus) || has(r, "substance", "assertedDate"), older) ??
    when(has(r, "participant") || isObject(r.type), newer),
  Encounter: (r) =>
    when(isText(r.class) || has(r, "patient", "reason", "indication"), older) ??
    when(isList(r.class) || has(r, "actualPeriod", "plannedStartDate", "admission"), newer),
  Observation: (r) =>
    when(has(r, "comments", "comment", "related", "context"), older) ?? when(has(r, "triggeredBy"), newer),
  Immunization: (r) => when(has(r, "date", "wasNotGiven", "notGiven", "vaccinationProtocol"), older),
  MedicationRequest: (r) => when(has(r, "context", "definition"), older) ?? when(isObject(r.medication), newer),
  MedicationStatement: (r) => when(has(r, "taken", "patient"), older) ?? when(isObject(r.medication), newer),
  MedicationAdministration: (r) => when(isObject(r.medication), newer),
  MedicationDispense: (r) => when(isObject(r.medication), newer),
  Procedure: (r) =>
    when(has(r, "notPerformed", "notDone", "context"), older) ??
    when(has(r, "occurrenceDateTime", "occurrencePeriod"), newer),
  CarePlan: (r) => when(has(r, "context", "definition"), older),
  Organization: (r) => when(has(r, "qualification"), newer),
  Claim: (r) => when(has(r, "organization", "originalRuleset"), older),
}

/** The FHIR version that a resource shows itself to be of, or null where it can be R4. */
export function otherVersion(resource: JsonObject): string | null {
  const type = String(resource.resourceType)
  if (Object.hasOwn(goneTypes, type)) return goneTypes[type]!
  return Object.hasOwn(shapes, type) ? shapes[type]!(resource) : null
}

function when(holds: boolean, version: string): string | null {
  return holds ? version : null
}

function has(resource: JsonObject, ...names: readonly string[]): boolean {
  return names.some((name) => resource[name] !== undefined)
}

function isText(value: Json | undefined): boolean {
  return typeof value === "string"
}

function isList(value: Json | undefined): boolean {
  return Array.isArray(value) && listIn(value).length > 0
}

function isObject(value: Json | undefined): boolean {
  return value !== undefined && Object.keys(objectIn(value)).length > 0
}
