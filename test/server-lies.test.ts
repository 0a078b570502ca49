import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { describe, expect, it } from "vitest"
import { confirmWords, renewWords, signIn } from "../src/client/account.ts"
import { createPatient, savePatient } from "../src/client/edits.ts"
import { history } from "../src/client/record-views.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import { parseBase64url } from "../src/encoding/base64.ts"
import { parseUtf8, utf8 } from "../src/encoding/bytes.ts"
import { idFromBytes, type RecordId } from "../src/encoding/ids.ts"
import { AppError } from "../src/errors.ts"
import { parseEntry } from "../src/proof/entry.ts"
import { decrypt, importKey } from "../src/vault/fernet.ts"
import { asSecretKey, deriveBytes } from "../src/vault/keys.ts"
import { recover } from "./client.ts"
import { Hold } from "./hold.ts"
import { type Between, openPractice, password } from "./practice.ts"

const practice = await openPractice()

const patient = (n: number) => ({
  firstName: `F${n}`,
  lastName: "L",
  birthDate: "1961-07-09",
  diagnosis: "Hypertension",
})

async function add(work: Workspace, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await createPatient(work, patient(n))
}

/** Rewrites the JSON of answers whose path begins with `path`. */
function rewriting(path: string, change: (answer: Answer) => void, when: () => boolean = () => true): Between {
  return async (request, send) => {
    const response = await send(request)
    if (!request.path.startsWith(path) || !when()) return response
    const answer = JSON.parse(parseUtf8(response.body))
    change(answer)
    return { status: response.status, body: utf8(JSON.stringify(answer)) }
  }
}

interface Answer {
  next: number
  more: boolean
  entries: { record: string; statement: string; signature: string; leaf: { index: number; time: number } }[]
}

const code = (of: string) => expect.objectContaining({ code: of })

describe("a server that withholds, repeats or reorders", () => {
  it("cannot leave out records by losing the roster's segments", async () => {
    const work = workspaceOf(await practice.register("lost"))
    await work.roster.sync()
    await add(work, 3)
    await work.roster.fold(true)
    const [gone] = [...work.roster.rows.keys()]
    const between: Between = async (request, send) => {
      if (request.path.startsWith("/api/segments")) return { status: 200, body: new Uint8Array(0) }
      return rewriting("/api/changes", (answer) => {
        answer.entries = answer.entries.filter((entry) => entry.record !== gone)
      })(request, send)
    }
    for (const device of ["lost", "a fresh device"])
      await expect(practice.open("lost", device, between)).rejects.toEqual(code("TAMPERED_ROLLBACK"))
    expect((await practice.open("lost")).roster.rows.size).toBe(3)
  })

  it("is refused where what it calls an entry is none", async () => {
    const work = workspaceOf(await practice.register("garbage"))
    await work.roster.sync()
    await add(work, 1)
    const [id] = [...work.roster.rows.keys()] as [RecordId]
    const garbage = rewriting(`/api/records/${id}/entries`, (answer) => {
      for (const entry of answer.entries) Object.assign(entry, { statement: "AAAA", body: undefined })
    })
    const told = await practice.open("garbage", "garbage, told", garbage)
    await expect(told.records.open(id)).rejects.toEqual(code("TAMPERED_CHAIN"))
  })

  it.each([true, false])("cannot leave out a record beside one that it spoils for a while: %s", async (leavesOut) => {
    const username = `beside-${leavesOut}`
    const work = workspaceOf(await practice.register(username))
    await work.roster.sync()
    await add(work, 2)
    await work.roster.fold(true)
    const [spoilt, gone] = [...work.roster.rows.keys()] as [RecordId, RecordId]
    let spoiling = true
    const told = await practice.open(username, `${username}, told`, async (request, send) => {
      if (request.path.startsWith("/api/segments")) return { status: 200, body: new Uint8Array(0) }
      return rewriting("/api/changes", (answer) => {
        if (leavesOut) answer.entries = answer.entries.filter((entry) => entry.record !== gone)
        if (spoiling) for (const entry of answer.entries) if (entry.record === spoilt) entry.signature = "A".repeat(86)
      })(request, send)
    })
    expect([...told.roster.refused.keys()]).toEqual([spoilt])
    await told.roster.sync()
    spoiling = false
    const { chart, head } = await work.records.open(spoilt)
    await savePatient(work, spoilt, head.seq, { ...formOf(chart), diagnosis: "Gout" })
    expect(await told.roster.sync()).toEqual([spoilt])
    const folding = told.roster.fold(true)
    if (!leavesOut) return expect(folding).resolves.toBeUndefined()
    await expect(folding).rejects.toEqual(code("TAMPERED_ROLLBACK"))
    await expect(told.roster.sync()).rejects.toEqual(code("TAMPERED_ROLLBACK"))
  })

  it("cannot show an older head in the place of a newer one by losing segments", async () => {
    const work = workspaceOf(await practice.register("older"))
    await work.roster.sync()
    const { id } = await createPatient(work, patient(0))
    await savePatient(work, id, 0, { ...patient(0), diagnosis: "Penicillin allergy" })
    await work.roster.fold(true)
    const between: Between = async (request, send) => {
      if (request.path.startsWith("/api/segments")) return { status: 200, body: new Uint8Array(0) }
      return rewriting("/api/changes", (answer) => {
        answer.entries = answer.entries.slice(0, 1)
      })(request, send)
    }
    await expect(practice.open("older", "older-2", between)).rejects.toEqual(code("TAMPERED_ROLLBACK"))
  })

  it("cannot say that it looked further than the log reaches, or less far", async () => {
    await practice.register("bounds")
    for (const change of [
      (answer: Answer) => {
        answer.next = 9_000_000_000_000_000
      },
      (answer: Answer) => {
        answer.next = 0
      },
    ])
      await expect(practice.open("bounds", "bounds", rewriting("/api/changes?since=0&", change))).rejects.toEqual(
        code("TAMPERED_LOG"),
      )
  })

  it("cannot give a head another leaf, or none, or repeat an entry", async () => {
    const work = workspaceOf(await practice.register("leaf"))
    await add(work, 2)
    const lies: ((answer: Answer) => void)[] = [
      (answer) => {
        answer.entries.at(-1)!.leaf.index = 8_000_000
      },
      (answer) => {
        answer.entries.push(answer.entries[0]!)
      },
      (answer) => {
        answer.entries.reverse()
      },
    ]
    for (const [i, lie] of lies.entries())
      await expect(practice.open("leaf", `leaf-${i}`, rewriting("/api/changes?since=0&", lie))).rejects.toEqual(
        code("TAMPERED_LOG"),
      )
    const unproved = await practice.open(
      "leaf",
      "leaf-unproved",
      rewriting("/api/changes?since=0&", (answer) => {
        for (const entry of answer.entries) entry.leaf.time += 1
      }),
    )
    expect([...unproved.roster.refused.values()].map((refusal) => refusal.code)).toEqual([
      "TAMPERED_LOG",
      "TAMPERED_LOG",
    ])
    expect(unproved.roster.rows.size).toBe(0)
  })

  it.each([0, 1, 2, 3])("shows no time that the log does not hold, of entry %i of four", async (seq) => {
    const username = `timed-${seq}`
    const work = workspaceOf(await practice.register(username))
    await work.roster.sync()
    const { id } = await createPatient(work, patient(0))
    for (const diagnosis of ["Gout", "Asthma", "Migraine"]) {
      const { head, chart } = await work.records.open(id)
      await savePatient(work, id, head.seq, { ...formOf(chart), diagnosis })
    }
    const lie = rewriting(`/api/records/${id}/entries`, (answer) => {
      for (const entry of answer.entries)
        if (parseEntry(parseBase64url(entry.statement)).seq === seq) entry.leaf.time = Date.UTC(2019, 0, 1)
    })
    const looks = [(lied: Workspace) => history(lied, id), (lied: Workspace) => lied.records.open(id)]
    for (const [i, look] of looks.entries()) {
      const lied = await practice.open(username, `${username}-${i}`, lie)
      await expect(look(lied)).rejects.toEqual(code("TAMPERED_LOG"))
    }
  })

  it("does not make a client forget a record that it refused", async () => {
    const work = workspaceOf(await practice.register("refused"))
    await work.roster.sync()
    await add(work, 2)
    const [first] = [...work.roster.rows.keys()]
    const flipped = rewriting("/api/changes?since=0&", (answer) => {
      const entry = answer.entries.find((one) => one.record === first)
      if (entry) entry.signature = entry.signature.replace(/^./, (c) => (c === "A" ? "B" : "A"))
    })
    const misled = await practice.open("refused", "misled", flipped)
    expect([...misled.roster.refused]).toMatchObject([[first, { code: "TAMPERED_SIGNATURE" }]])
    await misled.roster.fold(true)
    for (const device of ["misled", "another"]) {
      const later = await practice.open("refused", device)
      expect([later.roster.rows.size, later.roster.refused.size]).toEqual([2, 0])
    }
  })

  it("stays refused once its log did not check", async () => {
    await practice.register("latched")
    let lying = false
    const work = await practice.open(
      "latched",
      "latched",
      rewriting(
        "/api/changes",
        (answer) => {
          const log = (answer as unknown as { log: { checkpoint: string } }).log
          log.checkpoint = log.checkpoint.replace(/\n\d+\n/, "\n1\n")
        },
        () => lying,
      ),
    )
    lying = true
    await expect(work.roster.sync()).rejects.toEqual(code("TAMPERED_LOG"))
    lying = false
    await expect(work.roster.sync()).rejects.toEqual(code("TAMPERED_LOG"))
    expect(work.session.log.refusal?.checkpoint).toContain("healthcrypt/")
  })
})

describe("keys that are wiped while work is under way", () => {
  it("seal nothing that the server could open, and leave the account as it was", async () => {
    await practice.register("wiped")
    const hold = new Hold(({ method, path }) => method === "POST" && path.endsWith("/entries"))
    const work = await practice.open("wiped", "wiped", hold.between)
    await add(work, 20)
    const create = (from: number) => Array.from({ length: 10 }, (_, n) => createPatient(work, patient(from + n)))
    const stored = hold.next("answer")
    const sent = Promise.allSettled([work.roster.fold(true), ...create(100)])
    await stored
    const begun = Promise.allSettled(create(200))
    work.session.wipe()
    hold.release()
    await sent
    for (const one of await begun)
      expect(one).toMatchObject({ status: "rejected", reason: code("NOT_ALLOWED_SESSION") })
    const zeros = asSecretKey(new Uint8Array(32))
    await expect(deriveBytes(zeros, new Uint8Array(1))).rejects.toEqual(code("NOT_ALLOWED_SESSION"))
    const again = await practice.open("wiped")
    expect(again.roster.refused.size).toBe(0)
    expect(again.roster.rows.size).toBeGreaterThan(20)
    for (const id of again.roster.rows.keys()) await again.records.open(id)
    await expectNoZeroKeys()
  })

  /** Tries the key that zeros would derive at every place on everything that is stored under the physician key. */
  async function expectNoZeroKeys(): Promise<void> {
    const { createHmac } = await import("node:crypto")
    const { rosterPlace, selfGrantPlace } = await import("../src/vault/places.ts")
    const database = new DatabaseSync(join(practice.folder, "data", "healthcrypt.db"), { readOnly: true })
    const underZeros = (place: Uint8Array) =>
      importKey(createHmac("sha256", new Uint8Array(32)).update(place).update(Uint8Array.of(1)).digest())
    const grants = database.prepare("SELECT physician, record, epoch, token FROM self_grant").all()
    const segments = database.prepare("SELECT physician, id, token FROM segment").all()
    database.close()
    expect(grants.length).toBeGreaterThan(20)
    for (const { physician, record, epoch, token } of grants) {
      const key = await underZeros(selfGrantPlace(physician as never, record as never, Number(epoch)))
      await expect(decrypt(key, token as Uint8Array)).rejects.toEqual(code("CANNOT_OPEN"))
    }
    for (const { physician, id, token } of segments) {
      const key = await underZeros(rosterPlace(physician as never, id as never))
      await expect(decrypt(key, token as Uint8Array)).rejects.toEqual(code("CANNOT_OPEN"))
    }
  }
})

describe("an answer that is lost, and a session that is another's", () => {
  it("does not cost the recovery words: they are shown, and they work", async () => {
    const session = await practice.register("words")
    let lost = 0
    const around = practice.device("words", async (request, send) => {
      const response = await send(request)
      if (request.path !== "/api/unlocks" || lost > 0) return response
      lost++
      throw new AppError("UNAVAILABLE_SERVER")
    })
    await confirmWords(session, true)
    const again = await signIn(around, "words", password)
    const { words } = await renewWords(again, password)
    expect([lost, words.length]).toEqual([1, 24])
    expect(again.keyring.settings.wordsConfirmed).toBe(false)
    const back = await recover(practice.device("elsewhere"), "words", words.join(" "), "another long password")
    expect(back.session.physician).toBe(session.physician)
  })

  it("is never written into another physician's account", async () => {
    const ada = await practice.register("tab-ada")
    const bob = await practice.register("tab-bob")
    // What a shared cookie does: Ada's page sends Bob's session.
    ada.around.transport.bearer = bob.around.transport.bearer
    await expect(ada.updateKeyring((keyring) => keyring)).rejects.toEqual(code("NOT_ALLOWED_SESSION"))
    expect((await practice.open("tab-bob")).session.keyringNumber).toBe(0)
    ada.around.transport.session = idFromBytes<"session">(new Uint8Array(16)) as never
    await expect(ada.pullKeyring()).rejects.toEqual(code("NOT_ALLOWED_SESSION"))
  })

  it("two changes of one keyring at once both hold", async () => {
    const session = await practice.register("twice")
    await Promise.all([
      session.updateKeyring((keyring) => ({ ...keyring, settings: { ...keyring.settings, idleMinutes: 5 } })),
      confirmWords(session, true),
    ])
    const { settings } = (await practice.open("twice")).session.keyring
    expect(settings).toEqual({ idleMinutes: 5, wordsConfirmed: true })
  })
})
