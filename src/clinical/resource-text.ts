import { own } from "./clip.ts"
import {
  codeIn,
  conceptText,
  conceptTexts,
  firstDate,
  firstOf,
  firstText,
  fullName,
  joined,
  listIn,
  narrativeText,
  numberText,
  objectIn,
  objectsIn,
  quantityText,
  textIn,
} from "./fhir.ts"
import type { Json, JsonObject } from "./json-read.ts"
import type { ChartReader } from "./reader.ts"

/** One resource in a line of words. */
export interface ResourceLine {
  readonly key: string
  /** YYYY-MM-DD, YYYY-MM, YYYY or "" */
  readonly date: string
  readonly text: string
}

/** The date and the words of any resource; for a type that is not known the best text that it holds. */
export function lineOf(reader: ChartReader, key: string): ResourceLine {
  const resource = reader.get(key) ?? {}
  return { key, date: own(dateOf(resource)), text: textOf(reader, resource) }
}

/** The words for what a resource says, with its status where that is not the usual one. */
function textOf(reader: ChartReader, resource: JsonObject): string {
  const type = textIn(resource.resourceType)
  const write = Object.hasOwn(writers, type) ? writers[type]! : generalText
  const text = textIn(write(resource, reader)) || generalText(resource) || "No text"
  const status = firstText(resource.status, resource.lifecycleStatus, codeIn(resource.clinicalStatus))
  return usual.includes(status) ? text : `${text} (${status.replaceAll("-", " ")})`
}

const usual = ["", "final", "completed", "finished", "active", "available", "current", "generated"]

/** A reference in words: its display, else the name or text of what it points at. */
function referenceText(reader: ChartReader, from: JsonObject, value: Json | undefined): string {
  const reference = objectIn(value)
  if (textIn(reference.display) !== "") return textIn(reference.display)
  const at = textIn(reference.reference)
  const words = (target: JsonObject) =>
    firstText(fullName(target.name), target.name, conceptText(target.code)) || generalText(target)
  return at === "" ? "" : (reader.wordsOf(at, from, words) ?? "")
}

/** So many of a list are put into words: a line has no room for more. */
const mostInLine = 50

function fewIn(value: Json | undefined): readonly JsonObject[] {
  return listIn(value).slice(0, mostInLine).map(objectIn)
}

function dateOf(r: JsonObject): string {
  return firstDate(
    ...[r.effectiveDateTime, r.effectivePeriod, r.effectiveInstant, r.performedDateTime, r.performedPeriod],
    ...[r.occurrenceDateTime, r.occurrencePeriod, r.period, r.authoredOn, r.started, r.startDate, r.start, r.created],
    ...[r.billablePeriod, r.onsetDateTime, r.recordedDate, r.date, r.authored, r.sent, r.whenHandedOver, r.issued],
    ...[r.recorded, r.assertedDate, r.dateTime, objectIn(r.collection).collectedDateTime, r.servicedDate],
  )
}

/** The best text that a resource of any type holds. What comes later is made only where nothing stands before it. */
function generalText(r: JsonObject): string {
  for (const text of generalTexts(r)) if (textIn(text) !== "") return textIn(text)
  return ""
}

function* generalTexts(r: JsonObject): Generator<Json | undefined> {
  yield conceptText(r.code)
  yield conceptText(r.vaccineCode)
  yield conceptText(r.medicationCodeableConcept)
  yield r.title
  yield r.name
  yield fullName(r.name)
  yield r.description
  yield conceptText(r.description)
  yield conceptTexts(r.type)
  yield conceptTexts(r.serviceType)
  yield conceptTexts(r.category)
  yield conceptTexts(r.reasonCode)
  yield conceptTexts(r.reason)
  yield* fewIn(r.note).map((note) => note.text)
  yield* fewIn(r.payload).map((part) => part.contentString)
  yield narrativeText(r.text)
  yield* fewIn(r.identifier).map((identifier) => identifier.value)
}

type Writer = (resource: JsonObject, reader: ChartReader) => string

const medication: Writer = (r, reader) => {
  const what = firstText(conceptText(r.medicationCodeableConcept), referenceText(reader, r, r.medicationReference))
  const dosage = objectsIn(r.dosageInstruction ?? r.dosage).map((dose) =>
    firstText(
      dose.text,
      dose.patientInstruction,
      joined([quantityText(objectIn(objectsIn(dose.doseAndRate)[0]).doseQuantity), timing(dose)], ", "),
      dose.asNeededBoolean === true ? "as needed" : "",
    ),
  )
  return joined([what, ...dosage])
}

const bill: Writer = (r) => {
  const items = objectsIn(r.item).map((item) => conceptText(item.productOrService))
  const shown = joined([...new Set(items)].slice(0, 3))
  const rest = new Set(items.filter((item) => item !== "")).size - 3
  const totals = objectsIn(r.total).map((total) => quantityText(total.amount ?? total))
  return joined([joined([shown, rest > 0 ? `${rest} more` : ""]), totals[0] === undefined ? "" : `total ${totals[0]}`])
}

const writers: Readonly<Record<string, Writer>> = {
  Observation: (r) => observationText(r),
  MedicationRequest: medication,
  MedicationStatement: medication,
  MedicationAdministration: medication,
  MedicationDispense: medication,
  Claim: bill,
  ExplanationOfBenefit: bill,
  Encounter: (r, reader) =>
    joined([
      firstText(conceptTexts(r.type), objectIn(r.class).display, objectIn(r.class).code),
      conceptTexts(r.reasonCode),
      ...fewIn(r.participant).map((participant) => referenceText(reader, r, participant.individual)),
      referenceText(reader, r, r.serviceProvider),
    ]),
  CarePlan: (r) => {
    const activities = objectsIn(r.activity).map((activity) => conceptText(objectIn(activity.detail).code))
    const list = joined([...new Set(activities)])
    return joined([firstText(r.title, conceptTexts(r.category), r.description), list], ": ")
  },
  CareTeam: (r, reader) =>
    joined([
      firstText(r.name, conceptTexts(r.category)),
      joined(fewIn(r.participant).map((participant) => referenceText(reader, r, participant.member))),
    ]),
  Goal: (r) => joined([conceptText(r.description), conceptText(r.achievementStatus).replaceAll("-", " ")]),
  DiagnosticReport: (r) => {
    const results = listIn(r.result).length
    const count = results === 0 ? "" : results === 1 ? "1 result" : `${results} results`
    return joined([conceptText(r.code), firstText(r.conclusion, count)])
  },
  Organization: (r) => joined([textIn(r.name), place(r.address)]),
  Location: (r) => joined([textIn(r.name), place(r.address)]),
  Practitioner: (r) => joined([fullName(r.name), conceptTexts(objectsIn(r.qualification).map((q) => q.code ?? null))]),
  PractitionerRole: (r, reader) =>
    joined([
      referenceText(reader, r, r.practitioner),
      conceptTexts(r.code),
      conceptTexts(r.specialty),
      referenceText(reader, r, r.organization),
    ]),
  RelatedPerson: (r) => joined([fullName(r.name), conceptTexts(r.relationship)]),
  Patient: (r) => fullName(r.name),
  ImagingStudy: (r) =>
    joined([
      textIn(r.description),
      ...fewIn(r.series).map((series) =>
        joined([
          firstText(objectIn(series.modality).display, objectIn(series.modality).code),
          firstText(objectIn(series.bodySite).display, series.description),
        ]),
      ),
    ]),
  Device: (r) => firstText(firstOf(objectsIn(r.deviceName), "name"), conceptText(r.type)),
  DocumentReference: (r) =>
    firstText(r.description, conceptText(r.type), ...fewIn(r.content).map((c) => objectIn(c.attachment).title)),
  AllergyIntolerance: (r) => allergyText(r),
  FamilyMemberHistory: (r) =>
    joined(
      [conceptText(r.relationship), joined(objectsIn(r.condition).map((c) => conceptText(c.code)))].filter(Boolean),
      ": ",
    ),
  Coverage: (r, reader) =>
    joined([conceptText(r.type), ...fewIn(r.payor).map((payor) => referenceText(reader, r, payor))]),
  Provenance: (r, reader) =>
    joined([conceptText(r.activity), ...fewIn(r.agent).map((agent) => referenceText(reader, r, agent.who))]),
  Immunization: (r) => joined([conceptText(r.vaccineCode), conceptText(r.statusReason)]),
}

/** "Allergy to mould (high risk): rash". */
export function allergyText(r: JsonObject): string {
  const risk = textIn(r.criticality) === "high" ? " (high risk)" : ""
  const reactions = joined([...new Set(objectsIn(r.reaction).map((reaction) => conceptTexts(reaction.manifestation)))])
  return joined([firstText(conceptText(r.code), "Allergy without a text") + risk, reactions], ": ")
}

function observationText(r: JsonObject): string {
  const own = valueText(r)
  const parts = bloodPressure(r) ?? objectsIn(r.component).map((p) => joined([conceptText(p.code), valueText(p)], " "))
  const interpretation = conceptTexts(r.interpretation)
  const value = joined([own, ...parts]) + (interpretation === "" ? "" : ` (${interpretation})`)
  return joined([conceptText(r.code), value.trim()], ": ")
}

/** ["119/76 mmHg"] where systolic and diastolic pressure (LOINC 8480-6, 8462-4) are the only components. */
function bloodPressure(r: JsonObject): readonly string[] | null {
  const parts = objectsIn(r.component)
  const [systolic, diastolic] = ["8480-6", "8462-4"].map((code) =>
    objectIn(parts.find((part) => objectsIn(objectIn(part.code).coding).some((c) => c.code === code))?.valueQuantity),
  )
  const [above, below] = [numberText(textIn(systolic!.value)), quantityText(diastolic)]
  return parts.length === 2 && above !== "" && below !== "" ? [`${above}/${below}`] : null
}

/** Any value[x] in words. */
function valueText(r: JsonObject): string {
  const name = Object.keys(r).find((key) => /^value[A-Z]/.test(key))
  if (name === undefined) return conceptText(r.dataAbsentReason)
  const value = r[name]
  if (typeof value === "boolean") return value ? "yes" : "no"
  if (name === "valueInteger" || name === "valueDecimal") return numberText(textIn(value))
  if (typeof value === "string") return name === "valueDateTime" ? dateAndTime(value) : value.trim()
  const object = objectIn(value)
  if (name === "valueRange") return joined([quantityText(object.low), quantityText(object.high)], " to ")
  if (name === "valueRatio") return joined([quantityText(object.numerator), quantityText(object.denominator)], " / ")
  if (name === "valuePeriod") return joined([firstDate(object.start), firstDate(object.end)], " to ")
  return firstText(quantityText(value), conceptText(value))
}

function dateAndTime(value: string): string {
  return value.slice(0, 16).replace("T", " ")
}

function timing(dose: JsonObject): string {
  const repeat = objectIn(objectIn(dose.timing).repeat)
  const code = conceptText(objectIn(dose.timing).code)
  const [times, period, unit] = [textIn(repeat.frequency), textIn(repeat.period), textIn(repeat.periodUnit)]
  if (code !== "" || times === "") return code
  const word = units.get(unit) ?? unit
  const span = Number(period) === 1 ? word : `${period} ${word}s`
  return `${times === "1" ? "once" : `${times} times`} ${Number(period) === 1 ? "per" : "every"} ${span}`
}

const units: ReadonlyMap<string, string> = new Map([
  ["h", "hour"],
  ["d", "day"],
  ["wk", "week"],
  ["mo", "month"],
  ["min", "minute"],
])

function place(addresses: Json | undefined): string {
  return textIn(objectsIn(addresses)[0]?.city)
}
