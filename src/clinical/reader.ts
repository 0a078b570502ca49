import { idOf, typeOf } from "./body.ts"
import { type JsonObject, objectIn, objectsIn, readJson, textIn } from "./fhir.ts"
import type { Chart } from "./fold.ts"

/** Looks into a chart's resources; each text is parsed when it is first asked for, and once. */
export interface ChartReader {
  readonly chart: Chart
  /** Keys of one type, in the chart's order. */
  keysOf(type: string): readonly string[]
  /** Null where the chart has no such resource. */
  get(key: string): JsonObject | null
  /** What a reference's text points at: `Type/id`, an address that ends so, `urn:uuid:id`, or `#id` within `from`. */
  resolve(reference: string, from?: JsonObject): JsonObject | null
}

export function readChart(chart: Chart): ChartReader {
  const parsed = new Map<string, JsonObject>()
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
    const text = chart.resources.get(key)
    if (text === undefined) return null
    const resource = objectIn(readJson(text))
    parsed.set(key, resource)
    return resource
  }

  function resolve(reference: string, from?: JsonObject): JsonObject | null {
    if (reference.startsWith("#"))
      return objectsIn(from?.contained).find((inner) => textIn(inner.id) === reference.slice(1)) ?? null
    if (reference.startsWith("urn:uuid:")) {
      ids ??= new Map([...chart.resources.keys()].map((key) => [idOf(key), key]))
      return get(ids.get(reference.slice("urn:uuid:".length)) ?? "")
    }
    return get(keyInReference(reference) ?? "")
  }

  return { chart, keysOf, get, resolve }
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
