import { describe, expect, it } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations } from "../src/client/invitations.ts"
import { share } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { parseUtf8, utf8 } from "../src/encoding/bytes.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { brady, edit, give, many, meet, none, physicians, suspicions } from "./colleagues.ts"
import { withhold } from "./hold.ts"
import { type Between, openPractice } from "./practice.ts"

const practice = await openPractice()
const noAnswer = { status: 503, body: utf8(JSON.stringify({ code: "UNAVAILABLE", message: "" })) }

async function two(tag: string): Promise<[Workspace, Workspace]> {
  const [ada, bea] = (await physicians(practice, `ada-${tag}`, `bea-${tag}`)) as [Workspace, Workspace]
  await meet(ada, bea)
  return [ada, bea]
}

describe("a look at the log", () => {
  it("is done again where the server did not answer what it asked", async () => {
    const [ada, bea] = await two("again")
    await edit(ada, (await createPatient(ada, brady)).id, "Gout")
    // Another device of bea's saves the keyring: this one has to ask for it, and is not answered.
    let answers = false
    const device = await practice.open("bea-again", "unanswered", async (request, send) =>
      !answers && request.path === "/api/keyring" ? noAnswer : send(request),
    )
    await device.roster.looked()
    await bea.session.updateKeyring((keyring) => keyring)
    await device.roster.sync()
    await expect(device.roster.looked()).rejects.toMatchObject({ code: "UNAVAILABLE" })
    answers = true
    await device.roster.sync()
    await device.roster.looked()
    expect(device.session.keyringNumber).toBe(bea.session.keyringNumber)
  })

  it("keeps a record from being written while what it found is not known", async () => {
    const [ada, bea] = await two("write")
    const { id } = await createPatient(ada, brady)
    await give(ada, bea, id, "writer")
    let answers = true
    const device = await practice.open("bea-write", "unanswered", async (request, send) =>
      !answers && request.path === "/api/keyring" && request.method === "GET" ? noAnswer : send(request),
    )
    await device.roster.looked()
    await bea.session.updateKeyring((keyring) => keyring)
    answers = false
    await device.roster.sync()
    await expect(edit(device, id, "Gout")).rejects.toMatchObject({ code: "UNAVAILABLE" })
    answers = true
    await device.roster.sync()
    await edit(device, id, "Gout")
  })

  it("finds what was kept back from whoever accepted, however much it was", async () => {
    const [ada, bea] = await two("much")
    const { id } = await createPatient(ada, brady)
    await share(ada, [id], "bea-much", "writer", null, many)
    for (let i = 0; i < 20; i++) await edit(ada, id, `Diagnosis ${i}`)
    // Packed and signed in anew: none of these leaves was looked at by this device.
    await bea.session.updateKeyring((keyring) => keyring)
    await bea.roster.sync()
    await bea.roster.fold(true)
    const device = await practice.open("bea-much", "fresh", withhold(1))
    await acceptInvitations(device, [id], many)
    await device.roster.looked()
    expect(device.roster.refused.get(id)?.code).toBe("TAMPERED_ROLLBACK")
    await expect(edit(device, id, "Written for whoever was removed")).rejects.toMatchObject({
      code: "TAMPERED_ROLLBACK",
    })
  })

  it("takes entries for explained that came by the record's own chain", async () => {
    const [ada, bea] = await two("chain")
    const { id } = await createPatient(ada, brady)
    await share(ada, [id], "bea-chain", "writer", null, many)
    const device = await practice.open("bea-chain", "reader", entriesAreLeftOut(id))
    for (let i = 0; i < 3; i++) await edit(ada, id, `Diagnosis ${i}`)
    await acceptInvitations(bea, [id], many)
    expect(await suspicions(device)).toEqual(none)
    expect(device.roster.rows.get(id)?.seq).toBe(4)
  })
})

/** A server whose feed tells that a record was accepted, and none of its entries: they are read from its chain. */
function entriesAreLeftOut(id: RecordId): Between {
  return async (request, send) => {
    const answer = await send(request)
    if (!request.path.startsWith("/api/changes")) return answer
    const reply = JSON.parse(parseUtf8(answer.body))
    reply.entries = reply.entries.filter(({ record }: { record: RecordId }) => record !== id)
    return { ...answer, body: utf8(JSON.stringify(reply)) }
  }
}
