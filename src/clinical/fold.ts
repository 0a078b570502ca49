import type { Body } from "./body.ts"

/** The state of a record: what its entries, folded in order, leave. */
export interface Chart {
  /** `Type/id` → JSON text, in the order in which the resources first came. */
  readonly resources: ReadonlyMap<string, string>
  readonly archived: boolean
}

/** A record before its first entry. */
export function emptyChart(): Chart {
  return { resources: new Map(), archived: false }
}

/** Folds bodies in the order of their entries. Texts are not looked at. */
export function foldBodies(bodies: Iterable<Body>): Chart {
  const resources = new Map<string, string>()
  let archived = false
  for (const body of bodies) {
    foldInto(resources, body)
    archived = body.archived ?? archived
  }
  return { resources, archived }
}

/** The chart after one more body; the one before stays as it is. */
export function applyBody(chart: Chart, body: Body): Chart {
  const resources = new Map(chart.resources)
  foldInto(resources, body)
  return { resources, archived: body.archived ?? chart.archived }
}

/** Folds one more body into the resources, in place. */
export function foldInto(resources: Map<string, string>, body: Body): void {
  for (const [key, text] of body.changes) {
    if (text === undefined) resources.delete(key)
    else resources.set(key, text)
  }
}
