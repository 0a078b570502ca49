import fc from "fast-check"
import { expect, test } from "vitest"
import type { RecordId } from "../encoding/ids.ts"
import type { RosterRow } from "./roster-row.ts"
import { RosterRows } from "./roster-rows.ts"

const record = fc.constantFrom(..."abcdef").map((id) => id as RecordId)
const step = fc.oneof(
  fc.record({ what: fc.constant("set" as const), id: record, patient: fc.constantFrom("Patient/1", "Patient/2", "") }),
  fc.record({ what: fc.constant("delete" as const), id: record }),
  fc.record({ what: fc.constant("clear" as const) }),
  fc.record({ what: fc.constant("look" as const) }),
)

test("rows are found by their patient as by looking at each, whatever came and went", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const rows = new RosterRows()
      for (const one of steps) {
        if (one.what === "set") rows.set(one.id, { id: one.id, patient: one.patient } as RosterRow)
        else if (one.what === "delete") rows.delete(one.id)
        else if (one.what === "clear") rows.clear()
        else look(rows)
      }
      look(rows)
    }),
  )
})

function look(rows: RosterRows): void {
  for (const patient of ["Patient/1", "Patient/2", ""]) {
    const found = rows.ofPatient(patient).map(({ id }) => id)
    const looked = [...rows.values()].filter((row) => row.patient === patient).map(({ id }) => id)
    expect(found.sort()).toEqual(looked.sort())
  }
}
