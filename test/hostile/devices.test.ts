import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { confirmWords, renewWords } from "../../src/client/account.ts"
import { accountActivity, recordActivity } from "../../src/client/activity.ts"
import { savePatient } from "../../src/client/edits.ts"
import { HomeList } from "../../src/client/home.ts"
import type { ActivityPage } from "../../src/client/views.ts"
import type { Workspace } from "../../src/client/workspace.ts"
import type { ErrorCode } from "../../src/errors.ts"
import type { Between } from "../practice.ts"
import { putRecord, stretching } from "./accounts.ts"
import type { Scene } from "./attack.ts"
import { assemble, type Cast, fieldsOf, password, resume, type Username } from "./cast.ts"
import { type Door, openDoor } from "./door.ts"
import { inclusionOf } from "./forge.ts"
import { changeKeys } from "./people-forge.ts"
import { rewriting, type WireAnswer } from "./rewriting.ts"
import { signIn } from "./steps.ts"
import { openWorld, type World } from "./world.ts"

/** What takes more than one device, or more than one question, to show: with clients in this process. */
let folder: string
let world: World
let cast: Cast
let door: Door
const closing: (() => void)[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-devices-"))
  world = await openWorld(join(folder, "data"))
  cast = await assemble(world.url, join(folder, "homes"))
  door = await openDoor()
})
afterAll(async () => {
  for (const close of closing) close()
  await door?.close()
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

/** A device of its own; behind the door where something stands between. */
async function device(username: Username, name: string, between?: Between): Promise<Workspace> {
  if (between !== undefined) door.open(world.url, between)
  const home = join(folder, "devices", username, name)
  const { open, close } = await resume(between === undefined ? world.url : door.url, cast.signedIn[username], home)
  closing.push(close)
  return open()
}

const scene = (): Pick<Scene, "cast" | "world" | "accomplice"> => ({
  cast,
  world,
  accomplice: (username) => device(username, "in league"),
})
const refused = (code: ErrorCode) => expect.objectContaining({ code })
const honest: Between = (request, send) => send(request)

/** The session has stopped: nothing more is asked of this server. */
async function expectStopped(work: Workspace, code: ErrorCode): Promise<void> {
  expect(work.session.log.refusal?.error.code).toBe(code)
  await expect(work.roster.sync()).rejects.toEqual(refused(code))
}

describe("receipts end the session's belief in a log", () => {
  const lying = (path: RegExp) =>
    rewriting<WireAnswer & { leaf: { index: number } }>(path, (answer) => {
      answer.leaf.index--
      answer.inclusion = inclusionOf(world, answer.leaf.index, answer.log!.checkpoint)
    })()

  it("a keyring's receipt has the proof of another leaf", async () => {
    const work = await device("dee", "keyring", lying(/^\/api\/keyring$/))
    await expect(confirmWords(work.session, true)).rejects.toEqual(refused("TAMPERED_LOG"))
    await expectStopped(work, "TAMPERED_LOG")
  })

  it("an identity's receipt has the proof of another leaf", async () => {
    const work = await device("dee", "identity", lying(/^\/api\/unlocks$/))
    await expect(renewWords(work.session, password)).rejects.toEqual(refused("TAMPERED_LOG"))
    await expectStopped(work, "TAMPERED_LOG")
  })
})

describe("activity", () => {
  type Lines = Pick<WireAnswer, "more"> & {
    leaves: { number: number; stream: string; type: string; actor: string; time: number }[]
  }
  /** @param lie told of each page's lines and of how many pages came before */
  const pages = (lie: (answer: Lines, page: number) => unknown): Between => {
    let page = 0
    return (request, send) => rewriting<Lines>(/\/activity\?/, (answer) => lie(answer, page++))()(request, send)
  }
  /** A server may cut where it likes. */
  const short = (answer: Lines) => {
    if (answer.leaves.length <= 4) return
    answer.leaves.splice(4)
    answer.more = true
  }
  const readAll = async (read: (before: number | null) => Promise<ActivityPage>) => {
    const all: number[] = []
    for (let before: number | null = null, more = true; more; before = all.at(-1)!) {
      const page = await read(before)
      all.push(...page.items.map(({ index }) => index))
      more = page.more
    }
    return all.length
  }

  it("is whole where the server tells all, in however many pages", async () => {
    const work = await device("ben", "honest", honest)
    const counts = [
      await readAll((before) => recordActivity(work, cast.records.shared, before)),
      await readAll((before) => accountActivity(work, before)),
    ]
    const again = await device("ben", "pages", pages(short))
    expect([
      await readAll((before) => recordActivity(again, cast.records.shared, before)),
      await readAll((before) => accountActivity(again, before)),
    ]).toEqual(counts)
    expect(Math.min(...counts)).toBeGreaterThan(5)
  })

  const lies: readonly [string, (answer: Lines, page: number) => unknown][] = [
    [
      "a line of activity is left out",
      ({ leaves }) => leaves.splice(leaves.findIndex(({ stream }) => stream === "act") + 1, 1),
    ],
    [
      "a line of activity is left out between two pages",
      (answer, page) => {
        if (page === 1) answer.leaves.shift()
        short(answer)
      },
    ],
    ["the oldest line of activity is left out", ({ leaves }) => leaves.pop()],
    [
      "the newest signed line of activity is left out",
      (answer) => {
        const newest = answer.leaves.find(({ stream }) => stream === "entry" || stream === "keyring")
        answer.leaves = answer.leaves.filter((line) => line !== newest)
      },
    ],
    [
      "all signed lines of activity are left out",
      (answer) => {
        answer.leaves = answer.leaves.filter(({ stream }) => stream === "act")
      },
    ],
    ["a line of activity names somebody else", ({ leaves }) => Object.assign(leaves[0]!, { actor: cast.ids.gus })],
    ["a line of activity says another time", ({ leaves }) => leaves[0]!.time++],
    [
      "a line of activity says that something else was done",
      ({ leaves }) => {
        const line = leaves.find(({ stream }) => stream === "act")!
        line.type = line.type === "read" ? "export" : "read"
      },
    ],
    [
      "more activity is promised, and none comes",
      (answer) => {
        answer.leaves = []
        answer.more = true
      },
    ],
  ]
  for (const [name, lie] of lies)
    it(name, async () => {
      for (const [what, read] of [
        ["record", (work: Workspace, before: number | null) => recordActivity(work, cast.records.shared, before)],
        ["account", accountActivity],
      ] as const) {
        const work = await device("ben", `${name} of a ${what}`, pages(lie))
        const reading = readAll((before) => read(work, before))
        await expect(reading, what).rejects.toEqual(refused("TAMPERED_LOG"))
        await expectStopped(work, "TAMPERED_LOG")
        expect(door.faults).toEqual([])
      }
    })
})

describe("activity that the log truly has", () => {
  it("a line of activity is of a kind that there is not", async () => {
    const { other } = cast.records
    const [session] = world.sql<{ id: string }>("select id from session where physician = ?", cast.ids.ada)
    await world.store.recordAct(cast.ids.ada, session!.id as never, other, "prayer" as never)
    const work = await device("ben", "a kind that there is not")
    await expect(recordActivity(work, other, null)).rejects.toEqual(refused("TAMPERED_LOG"))
    await expectStopped(work, "TAMPERED_LOG")
  })
})

describe("two devices of one physician", () => {
  it("use no older roster than the keyring lists, and show what is new without it", async () => {
    const { own } = cast.records
    const one = await device("ben", "folding")
    await one.roster.fold(true)
    const segments = () => world.sql<{ id: string; token: Uint8Array }>("select id, token from segment")
    const [older] = segments()
    const { head } = await one.records.open(own)
    await savePatient(one, own, head.seq, fieldsOf("own", "Scurvy"))
    await one.roster.fold(true)
    const [newest] = segments()
    expect(newest!.id).not.toBe(older!.id)
    world.sql("update segment set token = ? where id = ?", older!.token, newest!.id)
    const { session, roster, records } = await device("ben", "later")
    const list = new HomeList({ session, roster, records }).page(
      { search: "Scurvy", sort: "name", descending: false, archived: false, offset: 0, limit: 9 },
      true,
      "2026-11-23",
    )
    expect(list).toMatchObject({ rows: [{ id: own }], refused: [] })
  })

  it("both learn that a colleague's keys have changed, and say so until the number is compared again", async () => {
    const [one, two] = [await device("ada", "one"), await device("ada", "two")]
    const stateOn = ({ session }: Workspace) => session.people.colleague(cast.ids.gus).state
    expect([stateOn(one), stateOn(two)]).toEqual(["verified", "verified"])
    await changeKeys(scene(), "gus")
    await one.roster.sync()
    await one.roster.looked()
    expect(stateOn(one)).toBe("changed")
    await two.roster.sync()
    await two.roster.looked()
    expect(stateOn(two)).toBe("changed")
    expect(stateOn(await device("ada", "three"))).toBe("changed")
    await expect(two.session.people.demandVerified("gus")).rejects.toEqual(refused("NOT_ALLOWED_CHANGED_KEY"))
    const { safetyNumber } = two.session.people.view(await two.session.people.find("gus"))
    await two.session.people.verify("gus", safetyNumber, "digits")
    await one.roster.sync()
    await one.roster.looked()
    expect([stateOn(one), stateOn(two)]).toEqual(["verified", "verified"])
  })
})

describe("key stretching", () => {
  it("is the client's own: whatever the server says of it, the same work is done", async () => {
    const told: Between = async (request, send) =>
      rewriting(/^\/api\/(practice|login\/start)$/, (answer) =>
        Object.assign(answer, {
          ksf: 0,
          keyStretching: "rfc-draft-recommended",
          argon2id: { memory: 8, iterations: 1 },
        }),
      )()(request, send)
    door.open(world.url, told)
    const { around, close } = await resume(door.url, cast.signedIn.ben, join(folder, "devices", "ben", "told"))
    closing.push(close)
    await signIn("ben").client({ around, open: () => Promise.reject(new Error("not asked")) }, cast)
    expect(door.struck).toBe(2)
  })

  it("alone is what a record that was made with less of it fails by", async () => {
    const { around, close } = await resume(world.url, cast.signedIn.ben, join(folder, "devices", "ben", "stretching"))
    closing.push(close)
    const attempt = () => signIn("ben").client({ around, open: () => Promise.reject(new Error("not asked")) }, cast)
    await putRecord(scene(), { ...stretching, iterations: 2 }, 1)
    await expect(attempt()).rejects.toEqual(refused("NOT_ALLOWED_SIGN_IN"))
    // OPAQUE lets the same password in; what it gives out then is another key than the one that seals.
    await putRecord(scene(), stretching, 1)
    await expect(attempt()).rejects.toEqual(refused("CANNOT_OPEN"))
  })
})
