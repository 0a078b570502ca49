import type { RecordId } from "../encoding/ids.ts"
import type { RosterRow } from "./roster-row.ts"

/** A roster's rows, found by record and by the key of the patient whose record it says to be. */
export class RosterRows extends Map<RecordId, RosterRow> {
  /** Made when somebody asks for the first time: most never do. */
  #byPatient: Map<string, Set<RecordId>> | null = null

  /** In no order. */
  ofPatient(patient: string): RosterRow[] {
    this.#byPatient ??= this.#groups()
    return [...(this.#byPatient.get(patient) ?? [])].map((id) => this.get(id)!)
  }

  override set(id: RecordId, row: RosterRow): this {
    this.#forget(id)
    super.set(id, row)
    if (this.#byPatient !== null) add(this.#byPatient, row)
    return this
  }

  override delete(id: RecordId): boolean {
    this.#forget(id)
    return super.delete(id)
  }

  override clear(): void {
    this.#byPatient = null
    super.clear()
  }

  #groups(): Map<string, Set<RecordId>> {
    const groups = new Map<string, Set<RecordId>>()
    for (const row of this.values()) add(groups, row)
    return groups
  }

  #forget(id: RecordId): void {
    if (this.#byPatient === null) return
    const patient = this.get(id)?.patient
    if (patient === undefined) return
    const records = this.#byPatient.get(patient)
    records?.delete(id)
    if (records?.size === 0) this.#byPatient.delete(patient)
  }
}

function add(groups: Map<string, Set<RecordId>>, { id, patient }: RosterRow): void {
  const records = groups.get(patient)
  if (records === undefined) groups.set(patient, new Set([id]))
  else records.add(id)
}
