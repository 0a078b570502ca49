import { AppError } from "../errors.ts"
import { typeOf } from "./body.ts"
import { objectIn, textIn } from "./fhir.ts"
import type { ImportedResource } from "./import.ts"
import type { Json, JsonObject } from "./json-read.ts"
import { keyInReference } from "./reader.ts"

export interface Split {
  readonly patients: readonly { readonly patient: string; readonly resources: readonly ImportedResource[] }[]
  readonly leftOut: readonly { readonly entry: number; readonly type: string }[]
}

/** What several patients need is written into the record of each. So a small file may come to a lot; it is counted, and this is the most. */
const budget = { copies: 500_000, copiedLength: 256 * 1024 * 1024, steps: 10_000_000 }
const stepsAtOnce = 1024

/** Gives every resource of a file to its patient. With one patient all of it is theirs. With several:
 * 1. what names a patient as its subject is theirs; what names patients elsewhere is each one's;
 * 2. what points at something that is a patient's by 1 or 2 (a Provenance at an Observation) is theirs;
 * 3. what something of theirs points at, and is nobody's by 1 or 2 (an Organization), goes to each who needs it.
 * Nothing goes from one patient to another through a link between them. What is left reaches no patient.
 *
 * Every reference is followed once for each patient that it leads to, and what that comes to is bounded.
 * @throws BAD_INPUT_SIZE beyond the budget */
export function* splitByPatient(resources: readonly ImportedResource[]): Generator<number, Split> {
  const patients = resources.flatMap(({ key }, at) => (isPatient(key) ? [at] : []))
  if (patients.length <= 1)
    return { patients: patients.map((at) => ({ patient: resources[at]!.key, resources })), leftOut: [] }
  const resolve = resolver(resources)
  const targets = resources.map(({ references }, at) => targetsOf(references, at, resolve))
  const owners = new Owners(resources)
  for (const [at, { key, subjects }] of resources.entries()) {
    const subject = subjects.map(resolve).find((target) => isPatientAt(resources, target)) ?? null
    const named = subject !== null ? [subject] : targets[at]!.filter((target) => isPatientAt(resources, target))
    for (const patient of isPatient(key) ? [at] : named) owners.give(at, patient)
  }
  const isOwned = resources.map((_, at) => owners.of(at).length > 0)
  yield* owners.spread(pointingAt(targets, (from, to) => !isOwned[from] && !isPatientAt(resources, to)))
  const settled = resources.map((_, at) => owners.of(at).length > 0)
  yield* owners.spread(targets.map((of) => of.filter((target) => !settled[target])))
  const shares = new Map(patients.map((patient) => [patient, [] as ImportedResource[]]))
  for (const [at, resource] of resources.entries())
    for (const patient of owners.of(at)) shares.get(patient)!.push(resource)
  return {
    patients: patients.map((at) => ({ patient: resources[at]!.key, resources: shares.get(at)! })),
    leftOut: resources.flatMap(({ key, entry }, at) =>
      owners.of(at).length === 0 ? [{ entry, type: typeOf(key) }] : [],
    ),
  }
}

/** Whose each resource is. Resources and patients are named by their places in the file. */
class Owners {
  readonly #resources: readonly ImportedResource[]
  readonly #of: Set<number>[]
  #copies = 0
  #copiedLength = 0
  #steps = 0

  constructor(resources: readonly ImportedResource[]) {
    this.#resources = resources
    this.#of = resources.map(() => new Set())
  }

  of(at: number): readonly number[] {
    return [...this.#of[at]!]
  }

  /** Whether that was new. */
  give(at: number, patient: number): boolean {
    const patients = this.#of[at]!
    if (patients.has(patient)) return false
    patients.add(patient)
    this.#copiedLength += this.#resources[at]!.text.length
    if (++this.#copies > budget.copies || this.#copiedLength > budget.copiedLength) throw tooMuch()
    return true
  }

  /** Gives what is a patient's on along these ways, from each resource to others, until nothing is new. */
  *spread(ways: readonly (readonly number[])[]): Generator<number, void> {
    const queue = this.#of.flatMap((patients, at) =>
      ways[at]!.length === 0 ? [] : [...patients].map((one) => [at, one] as const),
    )
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const [from, patient] = next
      for (const to of ways[from]!) {
        if (++this.#steps > budget.steps) throw tooMuch()
        if (this.#steps % stepsAtOnce === 0) yield stepsAtOnce
        if (this.give(to, patient)) queue.push([to, patient])
      }
    }
  }
}

/** The ways of `targets` the other way round, as far as they are open. */
function pointingAt(
  targets: readonly (readonly number[])[],
  isOpen: (from: number, to: number) => boolean,
): readonly (readonly number[])[] {
  const sources: number[][] = targets.map(() => [])
  for (const [from, all] of targets.entries()) for (const to of all) if (isOpen(from, to)) sources[to]!.push(from)
  return sources
}

function isPatient(key: string): boolean {
  return typeOf(key) === "Patient"
}

function isPatientAt(resources: readonly ImportedResource[], at: number | null): boolean {
  return at !== null && isPatient(resources[at]!.key)
}

/** Each place once, in the order of the references; not the resource's own. */
function targetsOf(references: readonly string[], at: number, resolve: (reference: string) => number | null): number[] {
  const targets = new Set<number>()
  for (const reference of references) {
    const target = resolve(reference)
    if (target !== null && target !== at) targets.add(target)
  }
  return [...targets]
}

/** Finds the place of what a reference points at. */
function resolver(resources: readonly ImportedResource[]): (reference: string) => number | null {
  const places = new Map(resources.map(({ key }, at) => [key, at]))
  const addresses = new Map<string, string>()
  for (const { key, fullUrl, id } of resources) {
    addresses.set(`${typeOf(key)}/${id}`, key)
    if (fullUrl !== "") addresses.set(fullUrl, key)
  }
  return (reference) => places.get(addresses.get(reference) ?? keyInReference(reference) ?? "") ?? null
}

/** What stands in the elements that FHIR uses for "whose is this". */
export function subjectsIn(resource: JsonObject): string[] {
  const names = ["subject", "patient", "beneficiary", "for", "individual"]
  return names.map((name) => textIn(objectIn(resource[name]).reference))
}

export function referencesIn(value: Json | undefined, found: string[] = []): string[] {
  if (Array.isArray(value)) for (const item of value as readonly Json[]) referencesIn(item, found)
  else if (typeof value === "object" && value !== null)
    for (const [name, inner] of Object.entries(value as JsonObject)) {
      if (name === "reference" && typeof inner === "string") found.push(inner)
      else referencesIn(inner, found)
    }
  return found
}

function tooMuch(): AppError {
  return new AppError(
    "BAD_INPUT_SIZE",
    "The patients of this file share so much that it would be too large if each got all of it. Export one file a patient.",
  )
}
