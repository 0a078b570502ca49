import type { Body, Change } from "./body.ts"
import type { Chart } from "./fold.ts"
import { canonicalJson } from "./json-edit.ts"

export interface Difference {
  /** Only what has to be written. */
  readonly changes: readonly Change[]
  readonly added: number
  readonly changed: number
}

/** What of an import is new to a record. Texts that mean the same (`sameJson`) are not a change. */
export function differenceTo(chart: Chart, changes: readonly Change[], earlier: Iterable<Body> = []): Difference {
  const news = new News(changes)
  for (const body of earlier) for (const [key, text] of body.changes) if (text !== undefined) news.knows(key, text)
  return news.to(chart)
}

/** An import, held against what a record's bodies already brought: that is not new, so that importing a file a second time never undoes
 * what a physician has corrected or removed since. Nothing of the bodies is kept. */
export class News {
  readonly #changes: readonly Change[]
  /** What nobody has brought yet. */
  readonly #fresh: Map<string, string>
  readonly #canonical = new Map<string, string>()

  constructor(changes: readonly Change[]) {
    this.#changes = changes
    this.#fresh = new Map(changes.flatMap(([key, text]) => (text === undefined ? [] : [[key, text] as const])))
  }

  /** Whether a text under this key is of any interest. */
  has(key: string): boolean {
    return this.#fresh.has(key)
  }

  /** A text that the record holds, or held once. */
  knows(key: string, text: string): void {
    const mine = this.#fresh.get(key)
    if (mine === undefined) return
    if (mine !== text) {
      const canonical = this.#canonical.get(key) ?? canonicalJson(mine)
      this.#canonical.set(key, canonical)
      if (canonicalJson(text) !== canonical) return
    }
    this.#fresh.delete(key)
    this.#canonical.delete(key)
  }

  to({ resources }: Chart): Difference {
    for (const key of [...this.#fresh.keys()]) {
      const text = resources.get(key)
      if (text !== undefined) this.knows(key, text)
    }
    const fresh = this.#changes.filter(([key, text]) =>
      text === undefined ? resources.has(key) : this.#fresh.has(key),
    )
    const changed = fresh.filter(([key]) => resources.has(key)).length
    return { changes: fresh, added: fresh.length - changed, changed }
  }
}
