import { conceptText, dateIn, firstText, fullName, joined, listIn, objectIn, objectsIn, textIn } from "./fhir.ts"
import type { Json, JsonObject } from "./json-read.ts"

/** Something about a patient, with its label. */
export interface Detail {
  readonly label: string
  readonly value: string
}

export function sexOf(patient: JsonObject): string {
  return capital(textIn(patient.gender))
}

/** "" for the living, the date or "Yes" otherwise. */
export function deceasedOf(patient: JsonObject): string {
  return firstText(dateIn(patient.deceasedDateTime), patient.deceasedBoolean === true ? "Yes" : "")
}

export function identifiersOf(patient: JsonObject): readonly Detail[] {
  return objectsIn(patient.identifier)
    .filter((identifier) => textIn(identifier.value) !== "")
    .map((identifier) => ({ label: identifierLabel(identifier), value: textIn(identifier.value) }))
}

/** How to reach the patient, and whom to call. */
export function contactOf(patient: JsonObject): readonly Detail[] {
  const language = objectsIn(patient.communication).map((c) => conceptText(c.language))
  return [
    ...telecoms(patient.telecom),
    ...objectsIn(patient.address).map((address) => ({
      label: withUse("Address", address.use),
      value: addressText(address),
    })),
    ...objectsIn(patient.contact).map((contact) => ({
      label:
        listIn(contact.relationship)
          .map(conceptText)
          .find((text) => text !== "") ?? "Contact person",
      value: joined([
        fullName([contact.name ?? null]),
        ...telecoms(contact.telecom).map((telecom) => telecom.value),
        addressText(objectIn(contact.address)),
      ]),
    })),
    { label: "Language", value: joined(language) },
    { label: "Marital status", value: maritalStatus(patient.maritalStatus) },
    ...objectsIn(patient.generalPractitioner).map((doctor) => ({
      label: "General practitioner",
      value: textIn(doctor.display),
    })),
  ].filter((detail) => detail.value !== "")
}

/** Other names than the one that counts. */
export function otherNamesOf(patient: JsonObject, chosen: number): readonly Detail[] {
  return listIn(patient.name)
    .filter((_, index) => index !== chosen)
    .map((name) => ({ label: withUse("Name", objectIn(name).use), value: fullName([name]) }))
    .filter((detail) => detail.value !== "")
}

function telecoms(value: Json | undefined): readonly Detail[] {
  return objectsIn(value).map((telecom) => ({
    label: withUse(firstText(capital(textIn(telecom.system)), "Contact"), telecom.use),
    value: textIn(telecom.value),
  }))
}

function addressText(address: JsonObject): string {
  if (textIn(address.text) !== "") return textIn(address.text).replace(/\s+/g, " ")
  const town = joined([textIn(address.postalCode), textIn(address.city)], " ")
  return joined([...listIn(address.line).map(textIn), town, textIn(address.state), textIn(address.country)])
}

function withUse(label: string, use: Json | undefined): string {
  return textIn(use) === "" ? label : `${label} (${textIn(use)})`
}

function identifierLabel(identifier: JsonObject): string {
  const system = textIn(identifier.system)
  const host = /^https?:\/\/(?:www\.)?([^/]+)/.exec(system)?.[1]
  return firstText(
    conceptText(identifier.type),
    labels.get(system),
    host,
    capital(textIn(identifier.use)),
    "Identifier",
  )
}

const labels: ReadonlyMap<string, string> = new Map([
  ["http://hl7.org/fhir/sid/us-ssn", "Social Security Number"],
  ["http://hl7.org/fhir/sid/us-medicare", "Medicare number"],
  ["http://fhir.de/sid/gkv/kvid-10", "Versichertennummer"],
  ["https://fhir.nhs.uk/Id/nhs-number", "NHS number"],
  ["urn:ietf:rfc:3986", "Global identifier"],
])

/** Synthea and others give the bare code of v3-MaritalStatus as text. */
function maritalStatus(value: Json | undefined): string {
  const text = conceptText(value)
  return maritalWords.get(text) ?? text
}

const maritalWords: ReadonlyMap<string, string> = new Map([
  ["A", "Annulled"],
  ["D", "Divorced"],
  ["L", "Legally separated"],
  ["M", "Married"],
  ["S", "Never married"],
  ["T", "Domestic partner"],
  ["U", "Unmarried"],
  ["W", "Widowed"],
])

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
