/** Every field of an answer's JSON, and the ways to say it otherwise. */

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

/** A place in an answer: names, and `[]` for whichever item of a list. */
export type FieldPath = string

/** Every field of a JSON value, containers included, the outermost left out. */
export function fieldsOf(value: Json, path: FieldPath = ""): Set<FieldPath> {
  const found = new Set<FieldPath>()
  if (Array.isArray(value)) {
    const inner = `${path}[]`
    for (const item of value) for (const field of fieldsOf(item, inner)) found.add(field)
    if (value.some((item) => typeof item !== "object" || item === null)) found.add(inner)
  } else if (typeof value === "object" && value !== null)
    for (const [name, item] of Object.entries(value)) {
      const field = path === "" ? name : `${path}.${name}`
      found.add(field)
      for (const inner of fieldsOf(item, field)) found.add(inner)
    }
  return found
}

export interface Change {
  readonly name: string
  /** `undefined`: the field is left out. The value itself: it cannot be said otherwise in this way. */
  apply(value: Json): Json | undefined
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/** Ways to say a field otherwise that keep its type. */
export const changes: readonly Change[] = [
  {
    name: "another",
    apply(value) {
      if (typeof value === "string") return flipped(value)
      if (typeof value === "number") return value + 1
      if (typeof value === "boolean") return !value
      return Array.isArray(value) ? value.slice(1) : value
    },
  },
  {
    name: "less",
    apply(value) {
      if (typeof value === "string") return value === "" ? value : ""
      if (typeof value === "number") return Math.max(0, value - 86_400_000)
      return Array.isArray(value) ? value.slice(0, -1) : value
    },
  },
  {
    name: "repeated",
    apply: (value) => (Array.isArray(value) && value.length > 0 ? [...value, value.at(-1)!] : value),
  },
  { name: "none", apply: () => undefined },
]

/** One character in the middle becomes its neighbour. */
function flipped(text: string): string {
  const at = text.length >> 1
  const place = alphabet.indexOf(text[at] ?? "")
  if (place < 0) return `${text.slice(0, at)}A${text.slice(at + 1)}`
  return `${text.slice(0, at)}${alphabet[place ^ 1]}${text.slice(at + 1)}`
}

/** The value with one field changed, in all places that have it; the very same object where nothing came of it. */
export function changed(value: Json, field: FieldPath, change: Change): Json {
  const steps = field.split(/\.|(?=\[\])/).filter((step) => step !== "")
  return at(value, steps, change) as Json
}

function at(value: Json, [step, ...rest]: readonly string[], change: Change): Json | undefined {
  if (step === undefined) return change.apply(value)
  if (step === "[]") {
    if (!Array.isArray(value)) return value
    const items = value.map((item) => at(item, rest, change)).filter((item) => item !== undefined)
    return items.length === value.length && items.every((item, i) => item === value[i]) ? value : items
  }
  if (typeof value !== "object" || value === null || Array.isArray(value) || !(step in value)) return value
  const before = (value as Record<string, Json>)[step]!
  const after = at(before, rest, change)
  if (after === before) return value
  const { [step]: _, ...others } = value as Record<string, Json>
  return after === undefined ? others : { ...value, [step]: after }
}
