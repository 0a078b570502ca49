import { afterEach, beforeEach, expect, test } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { keysOf } from "../src/client/roster-row.ts"
import { sendAgain } from "../src/client/send-again.ts"
import { unshare } from "../src/client/sharing.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { entryPlace } from "../src/vault/places.ts"
import { open } from "../src/vault/seal.ts"
import { brady, edit, give, meet } from "./colleagues.ts"
import { Restoring } from "./restoring.ts"

let practice: Restoring
beforeEach(async () => {
  practice = await Restoring.start()
})
afterEach(() => practice.close())

/** Mal was given a record after the backup, and removed again. In what was put back Ada is alone in it, under the key that Mal had. */
test.each(["before", "after"])(
  "what is written after a restore does not open for who had the record since the backup: one made %s it",
  {
    timeout: 240_000,
  },
  async (made) => {
    for (const username of ["ada", "mal"]) await practice.register(username)
    let ada = await practice.open("ada")
    const mal = await practice.open("mal")
    await meet(ada, mal)
    let id: RecordId | null = made === "before" ? (await createPatient(ada, brady)).id : null
    await practice.putAway(ada)
    await practice.backUp("night", true)
    id ??= (await createPatient(ada, brady)).id
    await give(ada, mal, id, "reader")
    const keysOfMal = keysOf(mal.roster.rows.get(id)!)
    await unshare(ada, id, mal.session.physician)
    await edit(ada, id, "A secret from Mal")
    await practice.putAway(ada)
    const { code } = await practice.restore("night")
    ada = await practice.openAnyway("ada")
    await ada.session.confirmRestore(code)
    await sendAgain(ada)
    await edit(ada, id, "Another secret, typed afterwards")
    await edit(ada, id, "A third one")
    // Nobody was asked, and once is enough.
    expect(ada.roster.rows.get(id)?.epoch).toBe(1)
    // What lies in the database, to whoever helps Mal.
    const record = await ada.records.open(id)
    const read: string[] = []
    for (const { entry } of record.steps.filter(({ entry }) => entry.body !== undefined)) {
      const token = await ada.records.bodyToken(record, entry.seq)
      for (const key of keysOfMal)
        if (key !== undefined)
          await open(key, entryPlace(id, entry.epoch, entry.seq, entry.author), token).then(
            (bytes) => read.push(new TextDecoder().decode(bytes)),
            () => {},
          )
    }
    expect(read.filter((text) => text.includes("secret"))).toEqual([])
  },
)
