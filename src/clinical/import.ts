import { limits } from "../encoding/limits.ts"
import { AppError } from "../errors.ts"
import { type Change, isKey, typeOf } from "./body.ts"
import { recordTag } from "./export.ts"
import { objectIn, objectsIn, textIn, valueAt } from "./fhir.ts"
import { otherVersion } from "./fhir-version.ts"
import { isUuid } from "./form.ts"
import { referencesIn, splitByPatient, subjectsIn } from "./import-split.ts"
import { type JsonNode, memberOf, placeOf, scanJson, scanJsonSteps, stringAt } from "./json-spans.ts"
import { keyInReference } from "./reader.ts"

/** One patient of a file, with everything that belongs to them. */
export interface ImportedPatient {
  /** The Patient's key; "" where a record was exported that has none. */
  readonly patient: string
  /** In the file's order; texts are the file's own characters. */
  readonly changes: readonly Change[]
  /** How many resources of each type. */
  readonly types: Readonly<Record<string, number>>
}

export interface ImportedBundle {
  readonly patients: readonly ImportedPatient[]
  /** Resources in the file, those left out included. */
  readonly resources: number
  /** Resources that belong to no patient of the file, where it holds several. */
  readonly leftOut: readonly { readonly entry: number; readonly type: string }[]
}

/** A resource of a file. */
export interface ImportedResource {
  readonly key: string
  readonly text: string
  /** As it stands in the resource, or "". */
  readonly id: string
  /** Its address in the bundle, or "". */
  readonly fullUrl: string
  /** What it points at, and the first of that in elements which say whose it is. */
  readonly references: readonly string[]
  readonly subjects: readonly string[]
  /** Counts from 1. */
  readonly entry: number
}

const bundleTypes = ["transaction", "batch", "collection", "document", "searchset"]
const levelsAboveResource = 3
/** Of a bundle's `meta`, in UTF-16 units: an export's is shorter. */
const longestMeta = 1000
/** An item of a bundle is an object that holds its resource, with an address. */
const aroundResource = 2
/** What one file may hold: as many values as an entry and a resource may, and resources that fit into memory before any is stored. */
const budget = { nodes: limits.entryNodes, itemNodes: limits.resourceNodes + aroundResource, kept: 200_000 }

/** A file's bytes as text. @throws BAD_INPUT_BUNDLE where it is no UTF-8 text, BAD_INPUT_SIZE */
export function textOfFile(bytes: Uint8Array): string {
  if (bytes.length > limits.inflatedBytes) throw new AppError("BAD_INPUT_SIZE")
  if ((bytes[0] === 0x50 && bytes[1] === 0x4b) || (bytes[0] === 0x1f && bytes[1] === 0x8b))
    throw refusal("This is a compressed file. Unpack it first.")
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    throw refusal("This file is not text in UTF-8. Export it again as FHIR R4 in JSON.")
  }
}

/** Reads a FHIR R4 bundle, or a single Patient. A key is the type with the UUID of a `urn:uuid:` address, else with the
 * resource's id. A file with one patient goes to that patient whole; one with several is split by references. What `exportBundle` made of
 * a record, or of a part of one, is one patient's, whatever is in it: under the keys that its addresses say, and of whatever version its
 * resources are.
 * @throws BAD_INPUT_BUNDLE or BAD_INPUT_NO_PATIENT naming the place and quoting nothing; BAD_INPUT_SIZE for more than one file may hold */
export function readBundle(text: string): ImportedBundle {
  const steps = readBundleSteps(text)
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}

/** The same, step by step, so that it can be stopped. Each step says how much it did, about in characters. All of them together are as
 * many as the file is long, whatever is in it. */
export function* readBundleSteps(text: string): Generator<number, ImportedBundle> {
  if (text.length > limits.inflatedBytes) throw new AppError("BAD_INPUT_SIZE")
  if (/^\ufeff?\s*$/.test(text)) throw refusal("This file is empty. Export it again where it came from.")
  if (/^\ufeff?\s*</.test(text)) throw refusal("This file is XML. Export it again as FHIR R4 in JSON.")
  const root = yield* scanJsonSteps(text, limits.jsonDepth + levelsAboveResource, levelsAboveResource, budget)
  const type = stringAt(text, memberOf(root, "resourceType"))
  if (type === null)
    throw refusal("This is JSON, but not FHIR: it does not say its resourceType. Choose a FHIR R4 file.")
  if (type !== "Bundle" && type !== "Patient")
    throw new AppError("BAD_INPUT_NO_PATIENT", "This file is neither a Bundle nor a Patient. Choose the file that is.")
  const isRecord = type === "Bundle" && isRecordExport(text, root)
  const resources = type === "Bundle" ? yield* resourcesOf(text, root, isRecord) : [yield* single(text)]
  demandUnique(resources)
  if (isRecord) {
    const patient = resources.find(({ key }) => typeOf(key) === "Patient")?.key ?? ""
    return { patients: [toPatient({ patient, resources })], resources: resources.length, leftOut: [] }
  }
  const { patients, leftOut } = yield* splitByPatient(resources)
  if (patients.length === 0) throw new AppError("BAD_INPUT_NO_PATIENT")
  return { patients: patients.map(toPatient), resources: resources.length, leftOut }
}

/** Whether a bundle says that it is one record of Healthcrypt. */
function isRecordExport(text: string, bundle: JsonNode): boolean {
  const meta = memberOf(bundle, "meta")
  if (meta === null || meta.end - meta.start > longestMeta) return false
  const raw = text.slice(meta.start, meta.end)
  return objectsIn(objectIn(valueAt(raw, scanJson(raw, limits.jsonDepth))).tag).some(
    ({ system, code }) => system === recordTag.system && code === recordTag.code,
  )
}

function* resourcesOf(
  text: string,
  bundle: JsonNode,
  isRecord: boolean,
): Generator<number, readonly ImportedResource[]> {
  const kind = stringAt(text, memberOf(bundle, "type"))
  if (kind === null || !bundleTypes.includes(kind)) {
    const place = placeOf(text, (memberOf(bundle, "type") ?? bundle).start)
    throw refusal(`${place}: this type of bundle is not read. Export it as one of ${bundleTypes.join(", ")}.`)
  }
  const entries = memberOf(bundle, "entry")
  if (entries === null) return []
  if (entries.kind !== "array") throw refusal(`${placeOf(text, entries.start)}: "entry" is not a list.`)
  const resources: ImportedResource[] = []
  for (const [index, { start, end }] of entries.items.entries()) {
    const raw = text.slice(start, end)
    const entry = scanJson(raw, limits.jsonDepth + 1)
    const place = (at: number) => `entry ${index + 1} (${placeOf(text, start + at)})`
    const node = memberOf(entry, "resource")
    if (node?.kind !== "object")
      throw refusal(`${place(0)}: there is no resource in it. Only resources can be imported.`)
    resources.push(resourceAt(raw, node, index, stringAt(raw, memberOf(entry, "fullUrl")) ?? "", place, isRecord))
    yield end - start
  }
  return resources
}

function* single(text: string): Generator<number, ImportedResource> {
  yield* scanJsonSteps(text, limits.jsonDepth, 1, { ...budget, nodes: budget.itemNodes })
  return resourceAt(text, scanJson(text), 0, "", (at) => `entry 1 (${placeOf(text, at)})`)
}

/** @param text the entry's, or the file's where it is one resource @param place of an offset in it */
function resourceAt(
  text: string,
  node: JsonNode,
  index: number,
  fullUrl: string,
  place: (at: number) => string,
  isRecord = false,
): ImportedResource {
  const refuse = (what: string): AppError => refusal(`${place(node.start)}: ${what}`)
  const type = stringAt(text, memberOf(node, "resourceType"))
  if (type === null) throw refuse(`the resource does not say its resourceType.`)
  const inUrl = /^urn:uuid:(.*)$/i.exec(fullUrl)?.[1] ?? ""
  const id = isUuid(inUrl) ? inUrl : stringAt(text, memberOf(node, "id"))
  const inAddress = id === null || (isRecord && !isUuid(inUrl)) ? keyInReference(fullUrl) : null
  const key = inAddress ?? (id === null ? null : `${type}/${id}`)
  if (key === null) throw refuse(`the resource has neither an id nor an address urn:uuid:….`)
  if (!isKey(key) || typeOf(key) !== type) throw refuse(`the resource's type or id is not one that FHIR allows.`)
  const resource = objectIn(valueAt(text, node))
  const version = isRecord ? null : otherVersion(resource)
  if (version !== null) throw refuse(`this resource is FHIR ${version}, not R4. Export the file as FHIR R4.`)
  return {
    key,
    text: text.slice(node.start, node.end),
    id: textIn(resource.id),
    fullUrl,
    references: referencesIn(resource),
    subjects: subjectsIn(resource),
    entry: index + 1,
  }
}

function demandUnique(resources: readonly ImportedResource[]): void {
  const seen = new Map<string, number>()
  for (const { key, entry } of resources) {
    const earlier = seen.get(key)
    if (earlier !== undefined)
      throw refusal(`entry ${entry}: the same resource was given before, in entry ${earlier}. Leave one of them out.`)
    seen.set(key, entry)
  }
}

function toPatient({
  patient,
  resources,
}: {
  patient: string
  resources: readonly ImportedResource[]
}): ImportedPatient {
  const types: Record<string, number> = {}
  for (const { key } of resources) types[typeOf(key)] = (types[typeOf(key)] ?? 0) + 1
  return { patient, changes: resources.map(({ key, text }) => [key, text] as const), types }
}

function refusal(message: string): AppError {
  return new AppError("BAD_INPUT_BUNDLE", message)
}
