import { limits } from "../encoding/limits.ts"
import { AppError } from "../errors.ts"
import { type Change, isKey, typeOf } from "./body.ts"
import { type JsonObject, objectIn, readJson } from "./fhir.ts"
import { otherVersion } from "./fhir-version.ts"
import { isUuid } from "./form.ts"
import { splitByPatient } from "./import-split.ts"
import { type JsonNode, memberOf, placeOf, scanJson, stringAt } from "./json-spans.ts"
import { keyInReference } from "./reader.ts"

/** One patient of a file, with everything that belongs to them. */
export interface ImportedPatient {
  /** The Patient's key. */
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
  readonly resource: JsonObject
  /** Its address in the bundle, or "". */
  readonly fullUrl: string
  /** Counts from 1. */
  readonly entry: number
}

const bundleTypes = ["transaction", "batch", "collection", "document", "searchset"]
const levelsAboveResource = 3

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
 * resource's id. A file with one patient goes to that patient whole; one with several is split by references.
 * @throws BAD_INPUT_BUNDLE or BAD_INPUT_NO_PATIENT naming the place and quoting nothing; BAD_INPUT_SIZE */
export function readBundle(text: string): ImportedBundle {
  if (text.length > limits.inflatedBytes) throw new AppError("BAD_INPUT_SIZE")
  if (/^\ufeff?\s*$/.test(text)) throw refusal("This file is empty. Export it again where it came from.")
  if (/^\ufeff?\s*</.test(text)) throw refusal("This file is XML. Export it again as FHIR R4 in JSON.")
  const root = scanJson(text, limits.jsonDepth + levelsAboveResource, levelsAboveResource + 2)
  const type = stringAt(text, memberOf(root, "resourceType"))
  if (type === null)
    throw refusal("This is JSON, but not FHIR: it does not say its resourceType. Choose a FHIR R4 file.")
  if (type !== "Bundle" && type !== "Patient")
    throw new AppError("BAD_INPUT_NO_PATIENT", "This file is neither a Bundle nor a Patient. Choose the file that is.")
  const resources = type === "Bundle" ? resourcesOf(text, root) : [single(text)]
  demandUnique(resources)
  const { patients, leftOut } = splitByPatient(resources)
  if (patients.length === 0) throw new AppError("BAD_INPUT_NO_PATIENT")
  return { patients: patients.map(toPatient), resources: resources.length, leftOut }
}

function resourcesOf(text: string, bundle: JsonNode): readonly ImportedResource[] {
  const kind = stringAt(text, memberOf(bundle, "type"))
  if (kind === null || !bundleTypes.includes(kind)) {
    const place = placeOf(text, (memberOf(bundle, "type") ?? bundle).start)
    throw refusal(`${place}: this type of bundle is not read. Export it as one of ${bundleTypes.join(", ")}.`)
  }
  const entries = memberOf(bundle, "entry")
  if (entries === null) return []
  if (entries.kind !== "array") throw refusal(`${placeOf(text, entries.start)}: "entry" is not a list.`)
  return entries.items.map((entry, index) => {
    const node = memberOf(entry, "resource")
    if (node?.kind !== "object")
      throw refusal(`${entryPlace(text, entry, index)}: there is no resource in it. Only resources can be imported.`)
    return resourceAt(text, node, index, stringAt(text, memberOf(entry, "fullUrl")) ?? "")
  })
}

function single(text: string): ImportedResource {
  return resourceAt(text, scanJson(text, limits.jsonDepth, 2), 0, "")
}

function resourceAt(text: string, node: JsonNode, index: number, fullUrl: string): ImportedResource {
  const refuse = (what: string): AppError => refusal(`${entryPlace(text, node, index)}: ${what}`)
  const type = stringAt(text, memberOf(node, "resourceType"))
  if (type === null) throw refuse(`the resource does not say its resourceType.`)
  const inUrl = /^urn:uuid:(.*)$/i.exec(fullUrl)?.[1] ?? ""
  const id = isUuid(inUrl) ? inUrl : stringAt(text, memberOf(node, "id"))
  const key = id === null ? keyInReference(fullUrl) : `${type}/${id}`
  if (key === null) throw refuse(`the resource has neither an id nor an address urn:uuid:….`)
  if (!isKey(key) || typeOf(key) !== type) throw refuse(`the resource's type or id is not one that FHIR allows.`)
  const raw = text.slice(node.start, node.end)
  const resource = objectIn(readJson(raw))
  const version = otherVersion(resource)
  if (version !== null) throw refuse(`this resource is FHIR ${version}, not R4. Export the file as FHIR R4.`)
  return { key, text: raw, resource, fullUrl, entry: index + 1 }
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

function entryPlace(text: string, node: JsonNode, index: number): string {
  return `entry ${index + 1} (${placeOf(text, node.start)})`
}

function refusal(message: string): AppError {
  return new AppError("BAD_INPUT_BUNDLE", message)
}
