import { utf8 } from "../encoding/bytes.ts"
import { deflate } from "../encoding/frame.ts"
import { limits } from "../encoding/limits.ts"
import { idOf, typeOf } from "./body.ts"
import type { Chart } from "./fold.ts"
import { isUuid } from "./form.ts"
import { countJson } from "./json-count.ts"

/** The tag by which an export says that it is of one record of Healthcrypt, and that its addresses say under which keys it was. */
export const recordTag = { system: "urn:healthcrypt:origin", code: "record" } as const

/** What a part weighs at most, so that it goes into one entry of whoever imports it: packed or not, and however long their name is. */
const partWeight = 15 * 1024 * 1024
/** More than a bundle, and more than an entry, has around each of its resources; and what they have besides. */
const aroundResource = 300
const aroundAll = 4096
const nodesAround = 4

interface Measured {
  readonly key: string
  readonly bytes: number
  readonly nodes: number
  /** As an entry counts it, whole. */
  readonly weight: number
}

/** Which resources stand in which file of an export: all in one, where one can be imported again, else in parts that can. A record may hold
 * far more than one entry, and whoever may write there could close the way out. Each part begins with the Patient, so that the import puts
 * them into one record, one after another; the first is the same as in the whole. Where there is none, or where the two would not fit into a
 * file, a part is a record of its own. A resource that is larger than a part is one by itself.
 * @returns the keys of each part, in the order in which the resources came */
export async function exportParts(chart: Chart): Promise<readonly (readonly string[])[]> {
  const all = Array.from(chart.resources, ([key, text]) => measure(key, text))
  const parts = (await isOneFile(chart, all)) ? [all] : divide(all)
  return parts.map((part) => part.map(({ key }) => key))
}

function measure(key: string, text: string): Measured {
  const bytes = utf8(text.trim())
  const { nodes } = countJson(bytes, 0, bytes.length)
  const weight = Math.max(bytes.length, nodes * limits.bytesPerNode, limits.bytesPerChange)
  return { key, bytes: bytes.length, nodes, weight }
}

async function isOneFile(chart: Chart, all: readonly Measured[]): Promise<boolean> {
  const bytes = fileBytes(all)
  const nodes = all.reduce((sum, one) => sum + one.nodes + nodesAround, 0)
  if (bytes > limits.inflatedBytes || all.length > limits.authorResources || nodes > limits.entryNodes) return false
  // Browsers do not pack alike.
  return bytes <= partWeight || (await deflate(utf8(exportBundle(chart)))).length <= partWeight
}

/** No less than a file has, or the entry that comes of it. */
function fileBytes(part: readonly Measured[]): number {
  return part.reduce((sum, { bytes }) => sum + bytes + aroundResource, aroundAll)
}

function divide(all: readonly Measured[]): readonly (readonly Measured[])[] {
  const patient = all.find(({ key }) => typeOf(key) === "Patient")
  const atFirst = partWeight - (patient?.weight ?? 0)
  let room = atFirst
  let part: Measured[] = patient === undefined ? [] : [patient]
  const parts = [part]
  for (const one of all) {
    if (one === patient) continue
    if (one.weight > room && part.length > 0) {
      part = []
      parts.push(part)
      // Of a Patient who is large, only what is beside them is new to the record.
      room = Math.max(atFirst, partWeight / 2)
    }
    part.push(one)
    room -= one.weight
  }
  return parts.map((rest, at) => {
    const both = patient === undefined || at === 0 ? rest : [patient, ...rest]
    return fileBytes(both) <= limits.inflatedBytes ? both : rest
  })
}

/** The name of an export's file, counted from 0: "record.json", "record-2.json". */
export function partName(file: string, at: number): string {
  return at === 0 ? file : file.replace(/(?<=[^/\\])(\.[^./\\]*)?$/, `-${at + 1}$1`)
}

/** A FHIR R4 collection bundle of what is in a record, in the order in which it came. Each resource is its kept text,
 * character by character: whoever may write in a record may have left out its id, or given it another's, so each entry has an address.
 * Where the id in its key is a UUID that is `urn:uuid:id`, so that such references resolve; elsewhere it ends with `Type/id`, under a name
 * that is nobody's (RFC 6761). The import takes each of the {@link exportParts}.
 * @param keys of what it is to hold; everything, if left out */
export function exportBundle({ resources }: Chart, keys: Iterable<string> = resources.keys()): string {
  const entries = Array.from(
    keys,
    (key) => `    {"fullUrl": ${JSON.stringify(addressOf(key))}, "resource": ${(resources.get(key) ?? "").trim()}}`,
  )
  const meta = `  "meta": { "tag": [${JSON.stringify(recordTag)}] },`
  const list = entries.length === 0 ? "" : `,\n  "entry": [\n${entries.join(",\n")}\n  ]`
  return `{\n  "resourceType": "Bundle",\n${meta}\n  "type": "collection"${list}\n}\n`
}

function addressOf(key: string): string {
  return isUuid(idOf(key)) ? `urn:uuid:${idOf(key)}` : `https://healthcrypt.invalid/${key}`
}
