import { idOf } from "./body.ts"
import type { Chart } from "./fold.ts"
import { isUuid } from "./form.ts"

/** The tag by which an export says that it is one record of Healthcrypt, whole, and that its addresses say under which keys it was. */
export const recordTag = { system: "urn:healthcrypt:origin", code: "record" } as const

/** A FHIR R4 collection bundle of everything in a record, in the order in which it came. Each resource is its kept text,
 * character by character: whoever may write in a record may have left out its id, or given it another's, so each entry has an address.
 * Where the id in its key is a UUID that is `urn:uuid:id`, so that such references resolve; elsewhere it ends with `Type/id`, under a name
 * that is nobody's (RFC 6761). The import takes everything that this makes. */
export function exportBundle(chart: Chart): string {
  const entries = [...chart.resources].map(
    ([key, text]) => `    {"fullUrl": ${JSON.stringify(addressOf(key))}, "resource": ${text.trim()}}`,
  )
  const meta = `  "meta": { "tag": [${JSON.stringify(recordTag)}] },`
  const list = entries.length === 0 ? "" : `,\n  "entry": [\n${entries.join(",\n")}\n  ]`
  return `{\n  "resourceType": "Bundle",\n${meta}\n  "type": "collection"${list}\n}\n`
}

function addressOf(key: string): string {
  return isUuid(idOf(key)) ? `urn:uuid:${idOf(key)}` : `https://healthcrypt.invalid/${key}`
}
