import { type JsonNode, memberOf, scanJson, stringAt } from "./json-spans.ts"

export type JsonPath = readonly (string | number)[]

/** Puts a value into JSON text and leaves every other character as it was, digits, order and whitespace included.
 * What the path lacks is made: members are added behind the last one, an item behind the last of its list.
 * @param json the new value, already JSON. */
export function setAt(text: string, path: JsonPath, json: string): string {
  let node = scanJson(text)
  for (const [depth, step] of path.entries()) {
    const next = childOf(node, step)
    if (next !== null) {
      node = next
      continue
    }
    const value = wrap(path.slice(depth + 1), json)
    if (typeof step === "string" && node.kind === "object") return insertMember(text, node, step, value)
    if (typeof step === "number" && node.kind === "array") return insertItem(text, node, value)
    return splice(text, node.start, node.end, wrap(path.slice(depth), json))
  }
  return splice(text, node.start, node.end, json)
}

/** Takes a member or an item out, with the comma that belongs to it; absence is no error. */
export function removeAt(text: string, path: JsonPath): string {
  let parent = scanJson(text)
  for (const step of path.slice(0, -1)) {
    const next = childOf(parent, step)
    if (next === null) return text
    parent = next
  }
  const last = path.at(-1)
  const spans =
    parent.kind === "object" ? parent.members.map((m) => ({ start: m.start, end: m.value.end })) : parent.items
  const index =
    typeof last === "number" ? (parent.kind === "array" ? last : -1) : parent.members.findIndex((m) => m.name === last)
  const span = spans[index]
  if (span === undefined) return text
  const before = spans[index - 1]
  const after = spans[index + 1]
  if (before !== undefined) return splice(text, before.end, span.end, "")
  return splice(text, span.start, after === undefined ? span.end : after.start, "")
}

/** The raw JSON at a path, or null. */
export function rawAt(text: string, path: JsonPath): string | null {
  let node: JsonNode | null = scanJson(text)
  for (const step of path) node = node === null ? null : childOf(node, step)
  return node === null ? null : text.slice(node.start, node.end)
}

/** Whether two JSON texts mean the same: order of members, whitespace and escapes don't matter, the digits of a number
 * do (1.0 is not 1.00: FHIR decimals carry their precision). */
export function sameJson(a: string, b: string): boolean {
  return a === b || canonicalJson(a) === canonicalJson(b)
}

/** One spelling for all texts that `sameJson` calls the same. */
export function canonicalJson(text: string): string {
  return canonical(text, scanJson(text))
}

function canonical(text: string, node: JsonNode): string {
  if (node.kind === "object") {
    const members = node.members.map((m) => [JSON.stringify(m.name), canonical(text, m.value)] as const)
    members.sort((a, b) => (a[0] < b[0] ? -1 : 1))
    return `{${members.map(([name, value]) => `${name}:${value}`).join(",")}}`
  }
  if (node.kind === "array") return `[${node.items.map((item) => canonical(text, item)).join(",")}]`
  if (node.kind === "string") return JSON.stringify(stringAt(text, node))
  return text.slice(node.start, node.end)
}

function childOf(node: JsonNode, step: string | number): JsonNode | null {
  return typeof step === "string" ? memberOf(node, step) : (node.items[step] ?? null)
}

function wrap(path: JsonPath, json: string): string {
  return path.reduceRight<string>(
    (inner, step) => (typeof step === "number" ? `[${inner}]` : `{${JSON.stringify(step)}:${inner}}`),
    json,
  )
}

/** Adds a member in the manner of the one before it: same line break, same indent, same colon. */
function insertMember(text: string, node: JsonNode, name: string, value: string): string {
  const last = node.members.at(-1)
  const quoted = JSON.stringify(name)
  if (last === undefined) return splice(text, node.start + 1, node.start + 1, `${quoted}:${value}`)
  const colon = text.slice(last.nameEnd, last.value.start)
  return splice(text, last.value.end, last.value.end, `,${spaceBefore(text, last.start)}${quoted}${colon}${value}`)
}

function insertItem(text: string, node: JsonNode, value: string): string {
  const last = node.items.at(-1)
  if (last === undefined) return splice(text, node.start + 1, node.start + 1, value)
  return splice(text, last.end, last.end, `,${spaceBefore(text, last.start)}${value}`)
}

function spaceBefore(text: string, at: number): string {
  let start = at
  while (start > 0 && " \t\r\n".includes(text[start - 1]!)) start--
  return text.slice(start, at)
}

function splice(text: string, start: number, end: number, middle: string): string {
  return text.slice(0, start) + middle + text.slice(end)
}
