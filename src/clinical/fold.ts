import { limits } from "../encoding/limits.ts"
import { giveBack } from "../encoding/memory.ts"
import type { Body } from "./body.ts"
import type { Content } from "./content.ts"
import { LiveTexts, type Texts } from "./texts.ts"

/** The state of a record: what its entries, folded in order, leave. */
export interface Chart {
  /** `Type/id` → JSON text, in the order in which the resources first came. */
  readonly resources: Texts
  readonly archived: boolean
}

/** A record before its first entry. */
export function emptyChart(): Chart {
  return { resources: new Map(), archived: false }
}

/** The chart after one more body; the one before stays as it is. */
export function applyBody(chart: Chart, body: Body): Chart {
  return foldBodies([body], chart)
}

/** Folds bodies in the order of their entries. Texts are not looked at. */
export function foldBodies(bodies: Iterable<Body>, before: Chart = emptyChart()): Chart {
  const resources = new Map(before.resources)
  let { archived } = before
  for (const body of bodies) {
    for (const [key, text] of body.changes) {
      if (text === undefined) resources.delete(key)
      else resources.set(key, text)
    }
    archived = body.archived ?? archived
  }
  return { resources, archived }
}

/** Folds what opened entries say, each within its author's budget of what is live. */
export class Fold {
  readonly #resources: LiveTexts
  #archived: boolean

  /** @param before a chart that a fold made; it stays as it is
   * @param known another one, of whose texts those that come again are held once */
  constructor(before: Chart | null, known: Chart | null = null) {
    this.#resources = new LiveTexts(textsOf(before), textsOf(known))
    this.#archived = before?.archived ?? false
  }

  get chart(): Chart {
    return { resources: this.#resources, archived: this.#archived }
  }

  /** The texts that lie under some keys now, whatever is taken in later. */
  pick(keys: readonly string[]): Pick<Texts, "has" | "get"> {
    return this.#resources.pick(keys)
  }

  /** Takes an entry's content in, whole.
   * @returns false, and nothing is taken, where it would go beyond the author's budget; nobody else's counts */
  take(author: string, content: Content): boolean {
    const { weight, resources } = this.#resources.shareAfter(author, content.changes)
    if (weight > limits.authorLiveBytes || resources > limits.authorResources) return false
    this.#resources.apply(content.changes, author)
    this.#archived = content.archived ?? this.#archived
    return true
  }

  /** Gives back the memory of a content that was opened for this fold alone, unless texts in it are held. Nobody may look at it afterwards. */
  giveBack({ changes, bytes }: Content): void {
    if (!this.#resources.lieIn(changes)) giveBack(bytes)
  }
}

function textsOf(chart: Chart | null): LiveTexts | null {
  return chart?.resources instanceof LiveTexts ? chart.resources : null
}

/** A resource's text for people to look at: in a chart that a fold made, very long strings are cut. */
export function glanceAt({ resources }: Chart, key: string): string | undefined {
  return resources instanceof LiveTexts ? resources.glance(key) : resources.get(key)
}

/** What a chart's texts take, in bytes. */
export function bytesOf({ resources }: Chart): number {
  return resources instanceof LiveTexts ? resources.bytes : 0
}
