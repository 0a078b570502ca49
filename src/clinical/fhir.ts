import type { Json, JsonObject } from "./json-read.ts"
import { type JsonNode, stringAt } from "./json-spans.ts"

/** The value of a node that was kept whole. */
export function valueAt(text: string, node: JsonNode): Json {
  if (node.kind === "string") return stringAt(text, node)
  if (node.kind === "number") return text.slice(node.start, node.end)
  if (node.kind === "array") return node.items.map((item) => valueAt(text, item))
  if (node.kind === "object") return Object.fromEntries(node.members.map((m) => [m.name, valueAt(text, m.value)]))
  const word = text.slice(node.start, node.end)
  return word === "null" ? null : word === "true"
}

/* What follows takes whatever stands in a resource and never throws: absence and a wrong shape are both "nothing". */

export function objectIn(value: Json | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}

/** The list, or the one value as a list, or nothing. */
export function listIn(value: Json | undefined): readonly Json[] {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? (value as readonly Json[]) : [value as Json]
}

export function objectsIn(value: Json | undefined): readonly JsonObject[] {
  return listIn(value).map(objectIn)
}

export function textIn(value: Json | undefined): string {
  return typeof value === "string" ? value.trim() : ""
}

export function firstText(...values: readonly (Json | undefined)[]): string {
  for (const value of values) if (textIn(value) !== "") return textIn(value)
  return ""
}

/** Parts that are there, joined. */
export function joined(parts: readonly string[], separator = ", "): string {
  return parts.filter((part) => part !== "").join(separator)
}

/** A CodeableConcept in words: its text, else a display, else a code. */
export function conceptText(value: Json | undefined): string {
  const concept = objectIn(value)
  const codings = objectsIn(concept.coding)
  return firstText(concept.text, firstOf(codings, "display"), firstOf(codings, "code"))
}

/** The first text that one of several objects has under a name. */
export function firstOf(objects: readonly JsonObject[], name: string): string {
  for (const one of objects) if (textIn(one[name]) !== "") return textIn(one[name])
  return ""
}

/** Several CodeableConcepts, each once. */
export function conceptTexts(value: Json | undefined): string {
  return joined([...new Set(listIn(value).map(conceptText))])
}

/** The first code of a CodeableConcept, or the value itself where older data has a plain code. */
export function codeIn(value: Json | undefined): string {
  return firstText(value, firstOf(objectsIn(objectIn(value).coding), "code"))
}

/** A date, dateTime or instant as YYYY-MM-DD, YYYY-MM or YYYY, as written there; "" for anything else. */
export function dateIn(value: Json | undefined): string {
  const match = /^\d{4}(-\d{2}(-\d{2})?)?(?=T|$)/.exec(textIn(value))
  return match === null ? "" : match[0]
}

/** The first date in a list of dates, dateTimes and Periods. */
export function firstDate(...values: readonly (Json | undefined)[]): string {
  for (const value of values) {
    const date = firstText(dateIn(value), dateIn(objectIn(value).start), dateIn(objectIn(value).end))
    if (date !== "") return date
  }
  return ""
}

/** "178.7 cm", "< 5 mg/dL". A number of more than six significant digits is shown with four: the record keeps them all. */
export function quantityText(value: Json | undefined): string {
  const quantity = objectIn(value)
  const number = numberText(textIn(quantity.value))
  if (number === "") return ""
  const unit = firstText(quantity.unit, quantity.code, quantity.currency).replace(/[[\]{}]/g, "")
  return joined([textIn(quantity.comparator), number, unit === "1" ? "" : unit], " ")
}

/** What is longer is no number, and is not looked through for one. */
const mostDigits = 100

/** Digits for people. */
export function numberText(digits: string): string {
  if (digits.length > mostDigits) return digits
  const significant = digits
    .replace(/[eE].*$/, "")
    .replace(/\D/g, "")
    .replace(/^0+/, "").length
  const number = Number(digits)
  if (significant <= 6 || !Number.isFinite(number) || Number.isInteger(number)) return digits
  const whole = Math.trunc(Math.abs(number)).toString().length
  return String(Number(number.toPrecision(Math.max(4, Math.min(whole, 17)))))
}

/** So much of a narrative, in UTF-16 units, is looked at for a line of words, and so much of its text is shown. */
const mostNarrative = 16 * 1024
const shownNarrative = 400

/** The beginning of a narrative (XHTML) as plain text on one line; never anything else. */
export function narrativeText(value: Json | undefined): string {
  const div = textIn(objectIn(value).div)
  const isCut = div.length > mostNarrative
  // A tag or an entity that the cut went through is left out.
  const text = plainText(isCut ? div.slice(0, mostNarrative).replace(/(<[^<>]*|&[#\w]{0,8})$/, "") : div)
  return isCut || text.length > shownNarrative ? `${text.slice(0, shownNarrative).toWellFormed()}…` : text
}

/** A whole narrative (XHTML) as plain text on one line. */
export function wholeNarrative(value: Json | undefined): string {
  return plainText(textIn(objectIn(value).div))
}

function plainText(xhtml: string): string {
  return xhtml
    .replace(/<[^<>]*>/g, " ")
    .replace(/&(amp|lt|gt|quot|apos|nbsp);/g, (_, name: string) => entities.get(name)!)
    .replace(/&#(\d{1,7});/g, (_, code: string) => (Number(code) > 0x10ffff ? "" : String.fromCodePoint(Number(code))))
    .replace(/\s+/g, " ")
    .trim()
}

const entities: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
  ["nbsp", " "],
])

export interface PersonName {
  /** All given names. */
  readonly given: string
  readonly family: string
}

/** A HumanName in two parts; a name that is one text only counts as family name. */
export function personName(value: Json | undefined): PersonName {
  const name = objectIn(value)
  const given = joined(listIn(name.given).map(textIn), " ")
  const family = textIn(name.family)
  return given === "" && family === "" ? { given: "", family: textIn(name.text) } : { given, family }
}

/** "Dr. Miquel Hettinger" of the name that counts. */
export function fullName(names: Json | undefined): string {
  const name = listIn(names)[chosenName(names)]
  const { given, family } = personName(name)
  return joined([...listIn(objectIn(name).prefix).map(textIn), given, family], " ")
}

/** Which of several names counts: the official one, else the current one. −1 where there is none. */
export function chosenName(names: Json | undefined): number {
  const ranks = objectsIn(names).map((name) => {
    const use = ["official", "usual", ""].indexOf(textIn(name.use))
    const ended = textIn(objectIn(name.period).end) !== ""
    return (use >= 0 ? use : use === -1 && ["old", "maiden"].includes(textIn(name.use)) ? 5 : 4) + (ended ? 3 : 0)
  })
  return ranks.reduce((best, rank, at) => (best < 0 || rank < ranks[best]! ? at : best), -1)
}
