import { idOf } from "./body.ts"
import type { Chart } from "./fold.ts"
import { isUuid } from "./form.ts"

/** A FHIR R4 collection bundle of everything in a record, in the order in which it came. Each resource is its kept text,
 * character by character. Where an id is a UUID the entry's address is `urn:uuid:id`, so that such references resolve;
 * elsewhere there is none, and `Type/id` says it all. */
export function exportBundle(chart: Chart): string {
  const entries = [...chart.resources].map(([key, text]) => {
    const address = isUuid(idOf(key)) ? `"fullUrl": ${JSON.stringify(`urn:uuid:${idOf(key)}`)}, ` : ""
    return `    {${address}"resource": ${text.trim()}}`
  })
  const list = entries.length === 0 ? "" : `,\n  "entry": [\n${entries.join(",\n")}\n  ]`
  return `{\n  "resourceType": "Bundle",\n  "type": "collection"${list}\n}\n`
}
