import type { RecordId } from "../encoding/ids.ts"
import type { RosterRow } from "./roster-row.ts"

/** A roster's rows, found by record and by the key of the patient whose record it says to be. */
export class RosterRows extends Map<RecordId, RosterRow> {
  readonly #byPatient = new Map<string, Set<RecordId>>()

  /** In no order. */
  ofPatient(patient: string): RosterRow[] {
    return [...(this.#byPatient.get(patient) ?? [])].map((id) => this.get(id)!)
  }

  override set(id: RecordId, row: RosterRow): this {
    this.#forget(id)
    const records = this.#byPatient.get(row.patient)
    if (records === undefined) this.#byPatient.set(row.patient, new Set([id]))
    else records.add(id)
    return super.set(id, row)
  }

  override delete(id: RecordId): boolean {
    this.#forget(id)
    return super.delete(id)
  }

  override clear(): void {
    this.#byPatient.clear()
    super.clear()
  }

  #forget(id: RecordId): void {
    const patient = this.get(id)?.patient
    if (patient === undefined) return
    const records = this.#byPatient.get(patient)
    records?.delete(id)
    if (records?.size === 0) this.#byPatient.delete(patient)
  }
}
