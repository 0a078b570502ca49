import { afterEach, beforeEach, expect, test } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations } from "../src/client/invitations.ts"
import { keysOf } from "../src/client/roster-row.ts"
import { share } from "../src/client/sharing.ts"
import { walkRecord } from "../src/client/walk.ts"
import { parseUtf8 } from "../src/encoding/bytes.ts"
import { parseEntry } from "../src/proof/entry.ts"
import { entriesPath } from "../src/protocol/paths.ts"
import { readEntries } from "../src/protocol/records.ts"
import { summaryPlace } from "../src/vault/places.ts"
import { open } from "../src/vault/seal.ts"
import { brady, edit, give, many, meet } from "./colleagues.ts"
import { Restoring } from "./restoring.ts"

const dayMs = 24 * 3_600_000
let practice: Restoring
beforeEach(async () => {
  practice = await Restoring.start()
})
afterEach(() => practice.close())

/** A writer takes nobody out, so that what they write after somebody's day is under a key that this somebody still has. */
test.each([
  ["accepted", true],
  ["was only invited", false],
])(
  "who %s until a day is given nothing that was written after it, removed or not",
  { timeout: 120_000 },
  async (_, accepts) => {
    for (const username of ["ada", "bea", "mal"]) await practice.register(username)
    const [ada, bea, mal] = [await practice.open("ada"), await practice.open("bea"), await practice.open("mal")]
    await meet(ada, mal)
    await meet(ada, bea)
    await meet(mal, bea)
    const { id } = await createPatient(ada, brady)
    await give(ada, bea, id, "writer")
    expect(await share(ada, [id], "mal", "reader", Date.now() + dayMs, many)).toMatchObject({ done: 1 })
    if (accepts) expect(await acceptInvitations(mal, [id], many)).toMatchObject({ done: 1 })
    await mal.roster.sync()
    const keys = accepts ? keysOf(mal.roster.rows.get(id)!) : (await walkRecord(mal.session, id)).keys
    practice.pass(2 * dayMs)
    await edit(await practice.open("bea"), id, "Written after the day")
    const late = await practice.open("mal")
    const opened = async () => {
      const { entries } = await late.session.around.transport.call("GET", entriesPath(id), {
        query: { from: 0, since: 0, bodies: "0", without: "" },
        reply: readEntries.reply,
      })
      const texts: string[] = []
      for (const { statement, summary } of entries) {
        const { epoch, seq } = parseEntry(statement)
        const key = keys[epoch]
        if (key === undefined || summary === undefined) continue
        texts.push(parseUtf8(await open(key, summaryPlace(id, epoch, seq), summary).catch(() => new Uint8Array(0))))
      }
      return texts.join()
    }
    expect(await opened()).toContain("Hypertension")
    expect(await opened()).not.toContain("Written after the day")
    // The owner's next change takes out whose day is over.
    await edit(await practice.open("ada"), id, "Asthma")
    expect(await opened()).toContain("Hypertension")
    expect(await opened()).not.toContain("Written after the day")
  },
)
