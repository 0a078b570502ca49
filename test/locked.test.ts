import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { describe, expect, it } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { HomeList } from "../src/client/home.ts"
import { changeMembers } from "../src/client/members.ts"
import { encodeRows, parseRows } from "../src/client/roster-row.ts"
import { share, unshare, viewSharing } from "../src/client/sharing.ts"
import type { HttpRequest, HttpResponse, Send } from "../src/client/transport.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { encodeBase64url, parseBase64url } from "../src/encoding/base64.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { parseEntry } from "../src/proof/entry.ts"
import { asSecretKey } from "../src/vault/keys.ts"
import {
  anew,
  brady,
  edit,
  gapped,
  give,
  home,
  many,
  meet,
  none,
  noteChanged,
  physicians,
  raiseFalsely,
  refused,
  sabotaged,
  suspicions,
} from "./colleagues.ts"
import { changeEntry, stopVerifying } from "./hold.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()

interface Feed {
  entries: { record: RecordId; statement: string; signature: string; grant?: string; selfGrant?: string }[]
}

/** A server that says something else of what is new. */
async function changeReply(request: HttpRequest, send: Send, change: (reply: Feed) => void): Promise<HttpResponse> {
  const answer = await send(request)
  if (!request.path.startsWith("/api/changes")) return answer
  const reply = JSON.parse(new TextDecoder().decode(answer.body))
  change(reply)
  return { ...answer, body: new TextEncoder().encode(JSON.stringify(reply)) }
}

/** The grant that came with an entry, as the server has it. */
async function falseGrant(record: RecordId, seq: number, to: Workspace): Promise<[{ grant: string }]> {
  const database = new DatabaseSync(join(practice.folder, "data", "healthcrypt.db"), { readOnly: true })
  const found = database
    .prepare("select token from sealed_grant where record = ? and seq = ? and recipient = ?")
    .get(record, seq, to.session.physician)
  database.close()
  return [{ grant: encodeBase64url(found?.token as Uint8Array<ArrayBuffer>) }]
}

describe("a record that a colleague locked, before a server that lies", () => {
  it("lets no server leave out another record of a roster that is rebuilt", async () => {
    let other: RecordId | null = null
    await sabotaged(practice, "f", async (owner) => {
      other = (await createPatient(owner, brady)).id
    })
    const told = practice.open("ada-f", "told less", async (request, send) => {
      if (request.path.startsWith("/api/segments")) return { status: 200, body: new Uint8Array(0) }
      return changeReply(request, send, (reply) => {
        reply.entries = reply.entries.filter(({ record }) => record !== other)
      })
    })
    await expect(told).rejects.toEqual(refused("TAMPERED_ROLLBACK"))
  })

  it("does not hide that an entry is kept back, and stands again once it was shown", async () => {
    const { mal, id } = await sabotaged(practice, "n")
    let shown = Number.POSITIVE_INFINITY
    const told = await practice.open("ada-n", "told", (request, send) =>
      changeReply(request, send, (reply) => {
        reply.entries = reply.entries.filter(({ statement }) => parseEntry(parseBase64url(statement)).seq <= shown)
      }),
    )
    const first = told.roster.refused.get(id)!
    expect(parseEntry(parseBase64url(first.statement))).toMatchObject({ seq: 3, author: mal.session.physician })
    expect(new HomeList(told).namesakes(brady)).toEqual([])
    await edit(mal, id, "Seen")
    await told.roster.sync()
    expect(told.roster.refused.get(id)).toEqual(first)
    const keptBack = async () => {
      expect(await suspicions(told)).toMatchObject({ refused: [[id, { code: "TAMPERED_ROLLBACK", by: null }]] })
      await expect(unshare(told, id, mal.session.physician)).rejects.toEqual(refused("TAMPERED_ROLLBACK"))
    }
    const { seq } = told.roster.rows.get(id)!
    shown = seq
    await edit(mal, id, "Kept back")
    await keptBack()
    shown = seq + 2
    await edit(mal, id, "Shown")
    await edit(mal, id, "Kept back as well")
    await keptBack()
    shown = seq + 4
    await edit(mal, id, "Shown, with all that was kept back")
    await told.roster.sync()
    expect(told.roster.refused.get(id)).toMatchObject({ code: "TAMPERED_GRANT", by: mal.session.physician })
    await unshare(told, id, mal.session.physician)
    shown = Number.POSITIVE_INFINITY
    await edit(told, id, "Asthma")
    expect(await suspicions(told)).toEqual(none)
  })

  it("makes no patient of an invitation that was not accepted, whatever the server says", async () => {
    const { ada, mal, id } = await sabotaged(practice, "o")
    const [dan] = (await physicians(practice, "dan-o")) as [Workspace]
    await meet(ada, dan)
    await ada.roster.sync()
    await unshare(ada, id, mal.session.physician)
    const { id: other } = await createPatient(ada, brady)
    await give(ada, mal, other, "writer")
    await share(ada, [other], "dan-o", "reader", null, many)
    await raiseFalsely(mal, other)
    const database = new DatabaseSync(join(practice.folder, "data", "healthcrypt.db"))
    database.prepare("update member set accepted = 1 where record = ? and accepted is null").run(other)
    database.close()
    await dan.roster.sync()
    expect(dan.roster.refused.get(other)).toMatchObject({ code: "TAMPERED_GRANT", by: null })
    expect(dan.roster.rows.size).toBe(0)
  })

  it("is no colleague's doing where the server changed it or kept it back", async () => {
    const { ada, mal, cyd, id } = await sabotaged(practice, "e")
    await ada.roster.sync()
    await unshare(ada, id, mal.session.physician)
    await cyd.roster.sync()
    expect(await suspicions(cyd)).toEqual(none)
    const random = encodeBase64url(crypto.getRandomValues(new Uint8Array(1300)))
    const lies: [string, Parameters<typeof changeEntry>[2]][] = [
      ["CANNOT_OPEN", (stored) => delete stored.grant],
      ["TAMPERED_GRANT", (stored) => Object.assign(stored, { grant: random })],
      [
        "CANNOT_OPEN",
        (stored, { selfGrants }) => {
          stored.selfGrant = random.slice(0, 200)
          selfGrants?.push({ epoch: 1, token: random.slice(0, 200) })
        },
      ],
    ]
    // A gap of one colleague's says nothing about a key that another one gave.
    await share(ada, [id], "cyd-e", "writer", null, many)
    const { head, keys } = await cyd.records.open(id)
    const { appended } = await changeMembers(cyd.session, head, keys, head.members, cyd.roster.rows.get(id)!, true)
    const withheld = changeEntry(id, appended.entry.seq, (stored) => delete stored.grant)
    const told = await practice.open("ada-e", "withheld", withheld)
    expect(told.roster.refused.get(id)).toMatchObject({ code: "CANNOT_OPEN", by: null })
    await expect(unshare(told, id, cyd.session.physician)).rejects.toEqual(refused("CANNOT_OPEN"))
    for (const [at, [code, lie]] of lies.entries())
      for (const username of ["cyd-e", "ada-e"]) {
        const told = await practice.open(username, `${username}, ${at}`, changeEntry(id, 3, lie))
        expect(told.roster.refused.get(id)).toMatchObject({ code, by: null })
        await expect(told.records.open(id)).rejects.toEqual(refused(code))
        await expect(unshare(told, id, (username === "ada-e" ? cyd : ada).session.physician)).rejects.toEqual(
          refused(code),
        )
      }
  })

  it("is no colleague's doing either where a record is opened that the server did not announce", async () => {
    let lying = false
    let told: Workspace | null = null
    const { ada, mal, id } = await sabotaged(practice, "g", async (_, record) => {
      told = await practice.open("cyd-g", "told", async (request, send) => {
        const lie = changeEntry(
          record,
          3,
          (stored) => delete stored.grant,
          () => lying,
        )
        return lie(request, send)
      })
    })
    await ada.roster.sync()
    await unshare(ada, id, mal.session.physician)
    lying = true
    await expect(told!.records.open(id)).rejects.toEqual(refused("CANNOT_OPEN"))
    lying = false
    await told!.roster.sync()
    expect((await told!.records.open(id)).keys).toHaveLength(3)
  })

  it("stays locked whatever else is said of it, and is packed as such", async () => {
    const { mal, id } = await sabotaged(practice, "p")
    let lie: (reply: Feed) => void = () => {}
    const ada = await practice.open("ada-p", "told", (request, send) =>
      changeReply(request, send, (reply) => lie(reply)),
    )
    const locked = { code: "TAMPERED_GRANT", by: mal.session.physician }
    expect(ada.roster.refused.get(id)).toMatchObject(locked)
    expect(home(ada).rows).toEqual([])
    lie = (reply) => {
      for (const entry of reply.entries) entry.signature = encodeBase64url(new Uint8Array(64))
    }
    await edit(mal, id, "With a signature that is none")
    await ada.roster.sync()
    expect(ada.roster.refused.get(id)).toMatchObject({ code: "TAMPERED_SIGNATURE", by: null })
    await expect(unshare(ada, id, mal.session.physician)).rejects.toEqual(refused("TAMPERED_SIGNATURE"))
    lie = () => {}
    await expect(ada.records.open(id)).rejects.toEqual(refused("TAMPERED_GRANT"))
    expect(ada.roster.refused.get(id)).toMatchObject(locked)
    const [row] = parseRows(encodeRows([ada.roster.rows.get(id)!]))
    ada.roster.refused.clear()
    ada.roster.take(row!)
    expect(ada.roster.refused.get(id)).toMatchObject(locked)
    await unshare(ada, id, mal.session.physician)
    await edit(ada, id, "Asthma")
  })

  it("stays locked where that is learnt of while it is being opened", async () => {
    const { ada, mal, cyd, id } = await sabotaged(practice, "q", async () => {})
    await ada.roster.sync()
    await unshare(ada, id, mal.session.physician)
    await share(ada, [id], "cyd-q", "writer", null, many)
    await cyd.roster.sync()
    const second = await practice.open("ada-q", "second")
    const { reached, release } = stopVerifying(second)
    const opening = second.records.open(id)
    await reached
    await raiseFalsely(cyd, id)
    await second.roster.sync()
    release()
    await expect(opening).rejects.toEqual(refused("TAMPERED_GRANT"))
    expect(second.roster.refused.get(id)).toMatchObject({ by: cyd.session.physician })
    expect(home(second).rows).toEqual([])
  })

  it("was kept back, and is locked as soon as it is shown", async () => {
    const { ada, mal, id } = await sabotaged(practice, "r")
    let lying = true
    const told = await practice.open("ada-r", "told", (request, send) =>
      changeReply(request, send, (reply) => {
        if (lying) reply.entries = []
      }),
    )
    await told.roster.looked()
    expect(told.roster.refused.get(id)).toMatchObject({ code: "TAMPERED_ROLLBACK", by: null })
    lying = false
    await expect(told.records.open(id)).rejects.toEqual(refused("TAMPERED_GRANT"))
    expect((await viewSharing(told, id)).members).toHaveLength(3)
    await unshare(told, id, mal.session.physician)
    await edit(told, id, "Asthma")
    expect(await suspicions(ada)).toEqual(none)
  })

  it("is not let go of for a key of zeros, which would be taken for one that was wiped", async () => {
    const [ada, mal] = (await physicians(practice, "ada-s", "mal-s")) as [Workspace, Workspace]
    await meet(ada, mal)
    const { id } = await createPatient(ada, brady)
    const { id: other } = await createPatient(ada, brady)
    await give(ada, mal, id, "writer")
    await raiseFalsely(mal, id, ada, asSecretKey(new Uint8Array(32)))
    for (const work of [ada, ...(await anew(practice, "ada-s", "later"))]) {
      await work.roster.sync()
      expect(work.roster.refused.get(id)).toMatchObject({ code: "TAMPERED_GRANT", by: mal.session.physician })
      await work.records.open(other)
    }
    await unshare(ada, id, mal.session.physician)
    await edit(ada, id, "Asthma")
  })

  it("goes on without a member whose keys have changed, to whom nothing could be given", async () => {
    const { ada, mal, cyd, id } = await sabotaged(practice, "t")
    await ada.roster.sync()
    await noteChanged(ada, cyd)
    expect(await unshare(ada, id, mal.session.physician)).toEqual([cyd.session.username])
    await edit(ada, id, "Asthma")
  })

  it("lends its excuse to no key that a later invitation gave", async () => {
    const { ada, dan, id } = await gapped(practice, "u")
    await dan.roster.sync()
    const [{ grant }] = await falseGrant(id, 3, dan)
    await unshare(ada, id, dan.session.physician)
    await give(ada, dan, id, "reader")
    const stripped = await practice.open("dan-u", "stripped", (request, send) =>
      changeReply(request, send, (reply) => {
        for (const stored of reply.entries) {
          const entry = parseEntry(parseBase64url(stored.statement))
          if (entry.seq === 3) Object.assign(stored, { selfGrant: undefined, grant })
          if (entry.seq === 6) Object.assign(stored, { grant: undefined })
        }
      }),
    )
    expect(stripped.roster.refused.get(id)).toMatchObject({ by: null })
    expect(stripped.roster.rows.has(id)).toBe(false)
  })
})
