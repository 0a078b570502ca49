import type { Body, Change } from "./body.ts"
import type { Chart } from "./fold.ts"
import { canonicalJson } from "./json-edit.ts"

export interface Difference {
  /** Only what has to be written. */
  readonly changes: readonly Change[]
  readonly added: number
  readonly changed: number
}

/** What of an import is new to a record. Texts that mean the same (`sameJson`) are not a change.
 * @param earlier the record's readable bodies: what any of them already brought is not new either, so that importing a
 *                file a second time never undoes what a physician has corrected or removed since. */
export function differenceTo(chart: Chart, changes: readonly Change[], earlier: Iterable<Body> = []): Difference {
  const known = new Map<string, string[]>()
  for (const [key, text] of chart.resources) known.set(key, [text])
  for (const body of earlier)
    for (const [key, text] of body.changes) {
      if (text === undefined) continue
      const texts = known.get(key)
      if (texts === undefined) known.set(key, [text])
      else texts.push(text)
    }
  const fresh = changes.filter(([key, text]) =>
    text === undefined ? chart.resources.has(key) : !isKnown(known.get(key) ?? [], text),
  )
  const changed = fresh.filter(([key]) => chart.resources.has(key)).length
  return { changes: fresh, added: fresh.length - changed, changed }
}

function isKnown(texts: readonly string[], text: string): boolean {
  if (texts.includes(text)) return true
  if (texts.length === 0) return false
  const canonical = canonicalJson(text)
  return texts.some((known) => canonicalJson(known) === canonical)
}
