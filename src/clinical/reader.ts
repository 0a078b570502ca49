import { idOf, typeOf } from "./body.ts"
import { own } from "./clip.ts"
import { listIn, objectIn, textIn } from "./fhir.ts"
import { type Chart, glanceAt } from "./fold.ts"
import { type JsonObject, readJson } from "./json-read.ts"

const longestWords = 200
/** So many contained resources are looked through for one. */
const mostContained = 200
/** So much text, in UTF-16 units, is kept parsed at a time. */
const keptText = 512 * 1024

/** Looks into a chart's resources; a text is parsed when it is asked for, and few of them are kept so. */
export interface ChartReader {
  readonly chart: Chart
  /** Keys of one type, in the chart's order. */
  keysOf(type: string): readonly string[]
  /** Null where the chart has no such resource. */
  get(key: string): JsonObject | null
  /** The words for the target of a reference, made once. `null` where the chart has no such resource. */
  wordsOf(reference: string, from: JsonObject, write: (target: JsonObject) => string): string | null
  /** What a reference's text points at: `Type/id`, an address that ends so, `urn:uuid:id`, or `#id` within `from`. */
  resolve(reference: string, from?: JsonObject): JsonObject | null
}

export function readChart(chart: Chart): ChartReader {
  const parsed = new Map<string, JsonObject>()
  const words = new Map<string, string>()
  /** Of what resources contain, by their references. */
  const innerWords = new WeakMap<JsonObject, Map<string, string>>()
  let kept = 0
  let types: Map<string, string[]> | null = null
  let ids: Map<string, string> | null = null

  function keysOf(type: string): readonly string[] {
    if (types === null) {
      types = new Map()
      for (const key of chart.resources.keys()) {
        const keys = types.get(typeOf(key))
        if (keys === undefined) types.set(typeOf(key), [key])
        else keys.push(key)
      }
    }
    return types.get(type) ?? []
  }

  function get(key: string): JsonObject | null {
    const known = parsed.get(key)
    if (known !== undefined) return known
    const text = glanceAt(chart, key)
    if (text === undefined) return null
    const resource = objectIn(readJson(text))
    kept += text.length
    if (kept > keptText) {
      parsed.clear()
      kept = text.length
    }
    parsed.set(key, resource)
    return resource
  }

  function targetOf(reference: string): string | null {
    if (!reference.startsWith("urn:uuid:")) return keyInReference(reference)
    ids ??= new Map([...chart.resources.keys()].map((key) => [idOf(key), key]))
    return ids.get(reference.slice("urn:uuid:".length)) ?? null
  }

  function wordsOf(reference: string, from: JsonObject, write: (target: JsonObject) => string): string | null {
    const isInner = reference.startsWith("#")
    const key = isInner ? reference : targetOf(reference)
    if (key === null) return null
    const memory = isInner ? innerWordsOf(from) : words
    const known = memory.get(key)
    if (known !== undefined) return known
    const target = resolve(reference, from)
    if (target === null) return null
    const text = own(write(target).slice(0, longestWords))
    memory.set(key, text)
    return text
  }

  function innerWordsOf(from: JsonObject): Map<string, string> {
    const known = innerWords.get(from) ?? new Map<string, string>()
    innerWords.set(from, known)
    return known
  }

  function resolve(reference: string, from?: JsonObject): JsonObject | null {
    if (reference.startsWith("#")) {
      const inner = listIn(from?.contained).slice(0, mostContained).map(objectIn)
      return inner.find((one) => textIn(one.id) === reference.slice(1)) ?? null
    }
    return get(targetOf(reference) ?? "")
  }

  return { chart, keysOf, get, resolve, wordsOf }
}

/** The `Type/id` at the end of a literal reference, without a version; null where there is none. */
export function keyInReference(reference: string): string | null {
  const match = /(?:^|\/)([A-Z][A-Za-z]*\/[A-Za-z0-9.-]{1,64})(?:\/_history\/[A-Za-z0-9.-]+)?$/.exec(reference)
  return match?.[1] ?? null
}

/** The key of the patient whose record this is: the first Patient that came. */
export function patientKeyOf(chart: Chart): string | null {
  for (const key of chart.resources.keys()) if (typeOf(key) === "Patient") return key
  return null
}
