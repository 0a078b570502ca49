import { typeOf } from "./body.ts"
import { type Json, type JsonObject, objectIn, textIn } from "./fhir.ts"
import type { ImportedResource } from "./import.ts"
import { keyInReference } from "./reader.ts"

export interface Split {
  readonly patients: readonly { readonly patient: string; readonly resources: readonly ImportedResource[] }[]
  readonly leftOut: readonly { readonly entry: number; readonly type: string }[]
}

type Owners = Map<string, Set<string>>

/** Gives every resource of a file to its patient. With one patient all of it is theirs. With several:
 * 1. what names a patient as its subject is theirs; what names patients elsewhere is each one's;
 * 2. what points at something that is a patient's by 1 or 2 (a Provenance at an Observation) is theirs;
 * 3. what something of theirs points at, and is nobody's by 1 or 2 (an Organization), goes to each who needs it.
 * Nothing goes from one patient to another through a link between them. What is left reaches no patient. */
export function splitByPatient(resources: readonly ImportedResource[]): Split {
  const patients = resources.filter(({ key }) => typeOf(key) === "Patient").map(({ key }) => key)
  if (patients.length <= 1) return { patients: patients.map((patient) => ({ patient, resources })), leftOut: [] }
  const targets = pointers(resources)
  const owners: Owners = new Map()
  for (const { key, resource } of resources) {
    const subject = subjectOf(resource, targets.resolve)
    const named = typeOf(key) === "Patient" ? [key] : subject !== null ? [subject] : targets.of(key).filter(isPatient)
    if (named.length > 0) owners.set(key, new Set(named))
  }
  const pointing = resources.filter(({ key }) => !owners.has(key))
  const settle = (): boolean =>
    pointing.filter(({ key }) => {
      const clinical = targets.of(key).filter((target) => !isPatient(target))
      return give(
        owners,
        key,
        clinical.flatMap((target) => [...(owners.get(target) ?? [])]),
      )
    }).length > 0
  while (settle());
  const settled = new Set(owners.keys())
  const queue = [...settled]
  for (let key = queue.pop(); key !== undefined; key = queue.pop())
    for (const target of targets.of(key))
      if (!settled.has(target) && give(owners, target, [...owners.get(key)!])) queue.push(target)
  return {
    patients: patients.map((patient) => ({
      patient,
      resources: resources.filter(({ key }) => owners.get(key)?.has(patient)),
    })),
    leftOut: resources.filter(({ key }) => !owners.has(key)).map(({ key, entry }) => ({ entry, type: typeOf(key) })),
  }
}

/** Adds owners; whether there was a new one. */
function give(owners: Owners, key: string, more: readonly string[]): boolean {
  if (more.length === 0) return false
  const set = owners.get(key) ?? new Set()
  const before = set.size
  for (const owner of more) set.add(owner)
  owners.set(key, set)
  return set.size > before
}

function isPatient(key: string): boolean {
  return typeOf(key) === "Patient"
}

/** The patient in one of the elements that FHIR uses for "whose is this", or null. */
function subjectOf(resource: JsonObject, resolve: (reference: string) => string | null): string | null {
  for (const name of ["subject", "patient", "beneficiary", "for", "individual"]) {
    const key = resolve(textIn(objectIn(resource[name]).reference))
    if (key !== null && isPatient(key)) return key
  }
  return null
}

function pointers(resources: readonly ImportedResource[]) {
  const keys = new Set(resources.map(({ key }) => key))
  const addresses = new Map<string, string>()
  for (const { key, fullUrl, resource } of resources) {
    addresses.set(`${typeOf(key)}/${textIn(resource.id)}`, key)
    if (fullUrl !== "") addresses.set(fullUrl, key)
  }
  const resolve = (reference: string): string | null => {
    const key = addresses.get(reference) ?? keyInReference(reference)
    return key !== null && keys.has(key) ? key : null
  }
  const found = new Map(
    resources.map(({ key, resource }) => {
      const targets = referencesIn(resource).map(resolve)
      return [key, [...new Set(targets.filter((target) => target !== null && target !== key))] as string[]]
    }),
  )
  return { resolve, of: (key: string): readonly string[] => found.get(key) ?? [] }
}

function referencesIn(value: Json | undefined, found: string[] = []): string[] {
  if (Array.isArray(value)) for (const item of value as readonly Json[]) referencesIn(item, found)
  else if (typeof value === "object" && value !== null)
    for (const [name, inner] of Object.entries(value as JsonObject)) {
      if (name === "reference" && typeof inner === "string") found.push(inner)
      else referencesIn(inner, found)
    }
  return found
}
