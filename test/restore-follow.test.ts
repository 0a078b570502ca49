import { join } from "node:path"
import { DatabaseSync, type SQLOutputValue } from "node:sqlite"
import { PassThrough } from "node:stream"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { withRoster } from "../src/cli/client.ts"
import type { Io } from "../src/cli/command.ts"
import { Out, Talk } from "../src/cli/out.ts"
import { reopen, signIn } from "../src/client/account.ts"
import { whatWentBack } from "../src/client/after-restore.ts"
import { createPatient } from "../src/client/edits.ts"
import { confirmMembers, viewSharing } from "../src/client/sharing.ts"
import type { PageApi } from "../src/client/views.ts"
import type { Workspace } from "../src/client/workspace.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { Desk } from "./cli.ts"
import { brady, edit, give, home, meet, refused } from "./colleagues.ts"
import { pageOf } from "./page-api.ts"
import type { Between } from "./practice.ts"
import { password, Restoring } from "./restoring.ts"

/** A server was put back, a physician has confirmed it on their desk, and their laptop follows without a code: by whatever way it comes in, it
 * holds the server to what it has kept, says what it saw and is gone, and sends again what it holds. */
let practice: Restoring
let words: string
beforeEach(async () => {
  practice = await Restoring.start()
  words = (await practice.register("ada")).join(" ")
})
afterEach(() => practice.close())
const long = 240_000

const laptop = () => practice.device("laptop").storage
const asCommand = (home: string) =>
  new Desk({ server: practice.url, username: "ada", password, home: practice.home(home) })

/** Puts the backup back, and confirms it on the desk. @param between stands between the desk and the server */
async function putBack(between?: Between): Promise<Workspace> {
  const { code } = await practice.restore("night")
  const desk = await practice.openAnyway("ada", "desk", password, between)
  await whatWentBack(desk)
  await desk.session.confirmRestore(code)
  await desk.roster.syncAfresh()
  await desk.roster.looked()
  return desk
}

describe("a record that both logs have, and that the server hides", { timeout: long }, () => {
  let id: RecordId
  beforeEach(async () => {
    const desk = await practice.open("ada", "desk")
    await createPatient(desk, { ...brady, firstName: "Other" })
    await desk.roster.bind()
    await practice.putAway(desk)
    const work = await practice.open("ada", "laptop")
    id = (await createPatient(work, brady)).id
    await practice.backUp("night", true)
    // No keyring that the backup holds is bound to it, and the pin is let go of.
    await work.roster.fold(true)
    await practice.putAway(work)
    const first = await putBack(hides)
    expect([...first.roster.refused]).toEqual([])
    await first.session.saveNews()
    await practice.putAway(first)
  })

  const without = (body: unknown) => {
    const changes = body as { entries?: { record: RecordId }[] }
    return { ...changes, entries: changes.entries?.filter(({ record }) => record !== id) }
  }
  const isFeed = (path: string) => new URL(path, "http://localhost").pathname === "/api/changes"
  const refusal = { code: "NOT_ALLOWED", message: "No." }
  const hides: Between = async (request, send) => {
    if (id !== undefined && request.path.includes(id))
      return { status: 403, body: new TextEncoder().encode(JSON.stringify(refusal)) }
    const answer = await send(request)
    if (id === undefined || !isFeed(request.path) || answer.status !== 200) return answer
    const body = without(JSON.parse(new TextDecoder().decode(answer.body)))
    return { ...answer, body: new TextEncoder().encode(JSON.stringify(body)) }
  }
  const asPage = () =>
    pageOf(practice.url, laptop(), {
      fails: (path) => path.includes(id) && Response.json(refusal, { status: 403 }),
      changes: (path, body) => (isFeed(path) ? without(body) : body),
    })
  /** What every later sign-in on the laptop finds. */
  const later = async () => {
    const { roster } = await practice.openAnyway("ada", "laptop", password, hides)
    return [...roster.refused].map(([record, { code }]) => [record, code])
  }
  const isRefused = () => [[id, "TAMPERED_ROLLBACK"]]

  const refusedOn = async (api: PageApi) => {
    // Waits until the roster is there.
    await api.namesakes(brady)
    const query = { search: "", sort: "name", descending: false, archived: false, offset: 0, limit: 10 } as const
    return (await api.home(query)).refused.map((one) => [one.id, one.code])
  }

  test.each(["a password", "an earlier keyring"])("is refused on a page that is opened with %s", async (way) => {
    const api = asPage()
    const account = way === "a password" ? api.signIn("ada", password) : api.reopen("ada", password)
    expect(await account).toMatchObject({ state: "signed-in" })
    expect(await refusedOn(api)).toEqual(isRefused())
    await api.signOut()
    expect(await later()).toEqual(isRefused())
  })

  test("is refused on a page that is opened with the words", async () => {
    const api = asPage()
    expect((await api.recover("ada", words, "a new long password of ada's"))?.words).toHaveLength(24)
    expect(await refusedOn(api)).toEqual(isRefused())
    await api.signOut()
  })

  test.each(["a password", "an earlier keyring"])("is refused by a command that is given %s", async (way) => {
    const around = practice.device("laptop", hides)
    const session =
      way === "a password" ? await signIn(around, "ada", password) : (await reopen(around, "ada", password)).session
    expect(session.restoration?.confirmed).toBe(true)
    const found = await withRoster(quietIo(), session, async (work) =>
      home(work).refused.map(({ id, code }) => [id, code]),
    )
    await session.end()
    expect(found).toEqual(isRefused())
    expect(await later()).toEqual(isRefused())
  })
})

describe("what a colleague wrote, and only the laptop had seen", { timeout: long }, () => {
  let id: RecordId
  const loss = () => ({ records: [{ id, had: 3, has: 2, own: 0 }], own: 0 })
  beforeEach(async () => {
    await practice.register("bob")
    const [desk, bob] = [await practice.open("ada", "desk"), await practice.open("bob")]
    await meet(desk, bob)
    id = (await createPatient(desk, brady)).id
    await give(desk, bob, id, "writer")
    for (const work of [desk, bob]) await practice.putAway(work)
    await practice.backUp("night", true)
    await edit(bob, id, "Anaphylaxis to penicillin")
    await practice.putAway(await practice.open("ada", "laptop"))
    const first = await putBack()
    // As many entries as before say nothing of what they are.
    await confirmMembers(first, await viewSharing(first, id), [])
    await practice.putAway(first)
  })

  test("is shown by the page before it is entered", async () => {
    const api = pageOf(practice.url, laptop())
    expect(await api.signIn("ada", password)).toMatchObject({ state: "restored", confirmed: true, back: loss() })
    expect(await api.confirmRestore("", "")).toMatchObject({ sheet: null, sent: { left: [] } })
    expect(await api.enterRestored()).toMatchObject({ state: "signed-in" })
    await api.signOut()
    // It has been shown.
    expect(await api.signIn("ada", password)).toMatchObject({ state: "signed-in" })
    await api.signOut()
  })

  test("is shown by the page that the words open, before they are replaced", async () => {
    const api = pageOf(practice.url, laptop())
    const next = "a new long password of ada's"
    expect(await api.recover("ada", words, next)).toBeNull()
    practice.pass(6 * 60_000)
    expect((await api.confirmRestore("", "")).sheet?.words).toHaveLength(24)
    expect(await api.enterRestored()).toMatchObject({ state: "signed-in" })
    await api.signOut()
    await practice.open("ada", "laptop", next)
  })

  test("is named by every command until `restored` has shown it, or somebody has written in the record", async () => {
    const ada = asCommand("laptop")
    for (const args of [
      ["records", "show", id],
      ["records", "list", "--json"],
    ]) {
      const { code, stderr } = await ada.run(args)
      expect([code, stderr]).toEqual([
        0,
        expect.stringMatching(/put back to an earlier state.*One record stands earlier.*healthcrypt restored\n$/),
      ])
      expect(stderr).toContain(id)
    }
    const shown = await ada.run(["restored"])
    expect(shown.stdout).toMatch(/1 of 3 entries .*Kuhlman, Brady/)
    expect((await ada.run(["records", "show", id])).stderr).toBe("")
    const work = await practice.open("ada", "laptop")
    expect(await whatWentBack(work)).toMatchObject(loss())
    await edit(work, id, "Gout")
    expect(await whatWentBack(work)).toMatchObject({ records: [] })
  })
})

test("what a colleague wrote below one's own entry is named until `restored` has shown it", {
  timeout: long,
}, async () => {
  await practice.register("bob")
  const [desk, bob] = [await practice.open("ada", "desk"), await practice.open("bob")]
  await meet(desk, bob)
  const { id } = await createPatient(desk, brady)
  await give(desk, bob, id, "writer")
  for (const work of [desk, bob]) await practice.putAway(work)
  await practice.backUp("night", true)
  await edit(bob, id, "Anaphylaxis to penicillin")
  const work = await practice.open("ada", "laptop")
  await practice.putAway(work)
  // It is cut off before it keeps the head of that.
  await edit(work, id, "Anaphylaxis to penicillin and cefalexin")
  await work.session.kept.flush()
  await work.session.pins.save()
  const first = await putBack()
  await confirmMembers(first, await viewSharing(first, id), [])
  await practice.putAway(first)
  const ada = asCommand("laptop")
  const named = expect.stringMatching(new RegExp(`One record stands earlier.*${id}.*healthcrypt restored\n$`))
  const sends = await ada.run(["records", "list"])
  expect([sends.code, sends.stderr]).toEqual([0, named])
  expect(sends.stderr).toContain("sent again")
  const again = await ada.run(["records", "list"])
  expect([again.code, again.stderr]).toEqual([0, named])
  expect((await ada.run(["restored"])).stdout).toMatch(/1 of 3 entries .*Kuhlman, Brady/)
  expect((await ada.run(["records", "list"])).stderr).toBe("")
})

test("a session that a server has not ended with the restore asks for the password first", {
  timeout: long,
}, async () => {
  await practice.putAway(await practice.open("ada", "desk"))
  const jar = { cookie: "" }
  let isClosed = false
  const before = pageOf(practice.url, laptop(), { jar, fails: () => isClosed })
  await before.signIn("ada", password)
  await practice.backUp("night", true)
  await before.create(brady)
  isClosed = true
  const [session = {}] = sql("select * from session where half is not null")
  await practice.putAway(await putBack())
  const marks = Object.keys(session).map(() => "?")
  sql(`insert into session (${Object.keys(session)}) values (${marks})`, ...Object.values(session))
  const after = pageOf(practice.url, laptop(), { jar })
  expect(await after.restore()).toMatchObject({ state: "locked", username: "ada" })
  expect(await after.signIn("ada", password)).toMatchObject({ state: "restored", back: { own: 1 } })
  await after.signOut()
})

describe("a command that follows", { timeout: long }, () => {
  let id: RecordId
  let ada: Desk
  const diagnosis = async () => (await ada.show(id)).diagnosis
  beforeEach(async () => {
    ada = asCommand("laptop")
    id = (await ada.add(brady)) as RecordId
    await practice.putAway(await practice.open("ada", "desk"))
    await practice.backUp("night", true)
    await ada.must(["records", "edit", id], { diagnosis: "Allergic to penicillin" })
    await practice.putAway(await putBack())
  })

  test("sends again what this machine holds before it reads, and says so", async () => {
    const { code, stdout, stderr } = await ada.run(["records", "show", id])
    expect([code, stdout]).toEqual([0, expect.stringContaining("Allergic to penicillin")])
    expect(stderr).toMatch(
      /^The server was put back to an earlier state; restored \S+\. One entry of yours was sent again\.\n$/,
    )
    // Nothing is left of it.
    for (const args of [
      ["records", "list"],
      ["records", "show", id],
    ])
      expect((await ada.run(args)).stderr).toBe("")
  })

  test.each([
    ["records", "edit"],
    ["records", "archive"],
  ])("does so before it writes: %s %s", async (...words) => {
    await ada.must([...words, id], { firstName: "Braydon" })
    expect(await diagnosis()).toBe("Allergic to penicillin")
    expect((await ada.run(["restored"])).stderr).toContain("Nothing of yours is left")
  })

  test("writes nothing on top of what it cannot send, and reads all the same", async () => {
    const busy = new TextEncoder().encode(JSON.stringify({ code: "UNAVAILABLE_BUSY", message: "Busy." }))
    const between: Between = (request, send) =>
      request.method === "POST" && request.path.endsWith("/entries")
        ? Promise.resolve({ status: 503, body: busy })
        : send(request)
    const run = async (isWriting: boolean) => {
      const session = await signIn(practice.device("laptop", between), "ada", password)
      return withRoster(quietIo(), session, async () => "done", isWriting).finally(() => session.end())
    }
    await expect(run(true)).rejects.toEqual(refused("UNAVAILABLE_BUSY"))
    expect(await run(false)).toBe("done")
    // Nobody has shown it so far.
    expect((await ada.run(["records", "list"])).stderr).toContain("One entry of yours was sent again.")
    expect(await diagnosis()).toBe("Allergic to penicillin")
  })

  test.each([true, false])("ends with a log that is refused meanwhile, whether it writes: %s", async (isWriting) => {
    // What stands in the record where the lost entry stood is looked up.
    await edit(await practice.open("ada", "desk"), id, "Gout")
    let isSending = false
    const between: Between = async (request, send) => {
      const answer = await send(request)
      if (!isSending || request.method !== "GET" || !request.path.includes("/entries?")) return answer
      const body = JSON.parse(new TextDecoder().decode(answer.body))
      const log = { ...body.log, checkpoint: `-${body.log.checkpoint}` }
      return { ...answer, body: new TextEncoder().encode(JSON.stringify({ ...body, log })) }
    }
    const around = practice.device("laptop", between)
    const { exclusive } = around.storage
    vi.spyOn(around.storage, "exclusive").mockImplementation((name, work) => {
      isSending ||= name.startsWith("again/")
      return exclusive(name, work)
    })
    const session = await signIn(around, "ada", password)
    const run = withRoster(quietIo(), session, async () => "done", isWriting)
    await expect(run).rejects.toEqual(refused("TAMPERED_LOG"))
    expect(isSending).toBe(true)
  })

  test("follows also where it opens no record", async () => {
    const next = "another long password of ada's"
    const { stderr } = await ada.run(["password"], { env: { HEALTHCRYPT_NEW_PASSWORD: next } })
    expect(stderr).toContain("sent again")
    ada = ada.with({ password: next })
    expect(await diagnosis()).toBe("Allergic to penicillin")
  })

  test("by the words, too", async () => {
    const next = "another long password of ada's"
    const env = { HEALTHCRYPT_NEW_PASSWORD: next }
    const { code, stdout, stderr } = await ada.run(["recover"], { input: words, env })
    expect([code, stderr]).toEqual([0, expect.stringMatching(/1 of 2 entries[\s\S]*Sent again: .*1 /)])
    expect(stderr).not.toMatch(new RegExp(`${brady.lastName}|${brady.firstName}`))
    expect(stdout.trimEnd().split("\n")).toHaveLength(24)
    ada = ada.with({ password: next })
    expect(await diagnosis()).toBe("Allergic to penicillin")
    expect((await ada.run(["records", "list"])).stderr).toBe("")
  })
})

function sql(statement: string, ...values: SQLOutputValue[]) {
  const database = new DatabaseSync(join(practice.folder, "data/healthcrypt.db"), { timeout: 10_000 })
  try {
    return database.prepare(statement).all(...values)
  } finally {
    database.close()
  }
}

/** Standard streams that nobody looks at. */
function quietIo(): Io {
  const env = { HEALTHCRYPT_SERVER: practice.url }
  const [stdin, out, err] = [new PassThrough(), new PassThrough().resume(), new PassThrough().resume()]
  return { stdin, out: new Out(out, env), err: new Talk(stdin, err, env), env, isTerminal: false }
}
