import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest"
import { type Desk, desk } from "./cli.ts"
import { startRelay } from "./relay.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "./server.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

let folder: string
let server: LiveServer
let ada: Desk
let id: string
const beer = { firstName: "Bea", lastName: "Beer", birthDate: "1938-02-27", diagnosis: "Gout" }

beforeAll(async () => {
  folder = await tempFolder()
  server = await serve({ dataDir: join(folder, "data"), args: ["--log-level", "warn"] })
  ada = desk(server.url, folder, "ada")
  await ada.register("Ada", "Byron")
})
beforeEach(async () => {
  id = await ada.add(beer)
})
afterAll(async () => {
  await server.stop()
  await removeFolder(folder)
})

/** Another machine of the same physician. */
const machine = (name: string, url = server.url) => ada.with({ home: join(folder, name), server: url })
const edit = (at: Desk, fields: Readonly<Record<string, string>>, ...args: string[]) =>
  at.run(["records", "edit", id, ...args], { input: fields })

/** A way to the server on which entries wait until as many are there as are meant to race. */
async function gate(entries: number) {
  const waiting: (() => void)[] = []
  let passed = false
  return startRelay(server.url, {
    before: ({ method, path }) => {
      if (passed || method !== "POST" || !path.endsWith("/entries")) return
      return new Promise<void>((resolve) => {
        waiting.push(resolve)
        if (waiting.length < entries) return
        passed = true
        for (const go of waiting) go()
      })
    },
  })
}

async function race(...edits: Readonly<Record<string, string>>[]) {
  const relay = await gate(edits.length)
  const outcomes = await Promise.all(edits.map((fields, i) => edit(machine(`racer-${i}`, relay.url), fields)))
  await relay.close()
  return outcomes
}

const versions = async (): Promise<{ seq: number; changes: { before: string; after: string }[] }[]> =>
  JSON.parse(await ada.must(["records", "history", id, "--json"]))

const saved = {
  code: 0,
  stdout: "",
  stderr: expect.stringMatching(/^(Changed|Archived|Nothing differs: nothing was stored)\.\n$/),
}
const refused = {
  code: 1,
  stdout: "",
  stderr: expect.stringMatching(/Somebody else changed the same part.*Nothing was changed/s),
}

describe("two machines edit one record at the same moment", () => {
  test("different resources: both are kept", async () => {
    const outcomes = await race({ lastName: "Bier" }, { diagnosis: "Podagra" })
    expect(outcomes).toEqual([expect.objectContaining(saved), expect.objectContaining(saved)])
    expect(await ada.show(id)).toMatchObject({ ...beer, lastName: "Bier", diagnosis: "Podagra", seq: 2 })
  })

  test("the same resource: one wins, the other is told and changes nothing", async () => {
    const names = ["Podagra", "Arthritis urica"]
    const outcomes = await race(...names.map((diagnosis) => ({ diagnosis })))
    const winner = outcomes.findIndex(({ code }) => code === 0)
    expect(outcomes[winner]).toMatchObject(saved)
    expect(outcomes[1 - winner]).toMatchObject(refused)
    expect(outcomes[1 - winner]!.stderr).toContain("Diagnosis")
    expect(await ada.show(id)).toMatchObject({ diagnosis: names[winner], seq: 1 })
  })

  test("the same change twice is one change", async () => {
    const outcomes = await race({ diagnosis: "Podagra" }, { diagnosis: "Podagra" })
    for (const outcome of outcomes) expect(outcome).toMatchObject(saved)
    expect(await ada.show(id)).toMatchObject({ diagnosis: "Podagra", seq: 1 })
  })

  test("six at once, three of each kind: each entry is one that was saved, in the order of the chain", async () => {
    const edits = [1, 2, 3].flatMap((n) => [{ diagnosis: `Gout ${n}` }, { lastName: `Beer ${n}` }])
    const outcomes = await race(...edits)
    for (const outcome of outcomes) if (outcome.code !== 0) expect(outcome).toMatchObject(refused)
    const wins = edits.filter((_, i) => outcomes[i]!.code === 0).map((fields) => Object.values(fields)[0])
    expect(wins).toHaveLength(2)
    const history = await versions()
    expect(history).toHaveLength(3)
    expect(
      history
        .slice(0, 2)
        .flatMap(({ changes }) => changes.map(({ after }) => after))
        .sort(),
    ).toEqual(wins.sort())
  })
})

describe("an edit of what was read earlier", () => {
  test("is merged where the others changed something else", async () => {
    await ada.must(["records", "edit", id], { diagnosis: "Podagra" })
    expect(await edit(machine("later"), { lastName: "Bier" }, "--seq", "0")).toMatchObject(saved)
    expect(await ada.show(id)).toMatchObject({ lastName: "Bier", diagnosis: "Podagra", seq: 2 })
  })

  test("is refused where they changed the same, and their version stays", async () => {
    await ada.must(["records", "edit", id], { diagnosis: "Podagra" })
    expect(await edit(machine("later"), { diagnosis: "Arthritis urica" }, "--seq", "0")).toMatchObject(refused)
    expect(await ada.show(id)).toMatchObject({ diagnosis: "Podagra", seq: 1 })
  })

  test("that undoes what was changed meanwhile is a conflict, too, not a silent return", async () => {
    await ada.must(["records", "edit", id], { firstName: "Beatrix" })
    expect(await edit(machine("later"), { lastName: "Bier" }, "--seq", "0")).toMatchObject(refused)
    expect(await ada.show(id)).toMatchObject({ firstName: "Beatrix", lastName: "Beer" })
  })

  test("of a version that there is not is refused", async () => {
    expect(await edit(ada, { diagnosis: "Podagra" }, "--seq", "7")).toMatchObject({ code: 1, stdout: "" })
    expect(await ada.show(id)).toMatchObject({ seq: 0 })
  })
})

test("a record that is archived on one machine while it is edited on another keeps both", async () => {
  const relay = await gate(2)
  const [archived, edited] = await Promise.all([
    machine("racer-0", relay.url).run(["records", "archive", id]),
    edit(machine("racer-1", relay.url), { diagnosis: "Podagra" }),
  ])
  await relay.close()
  expect([archived, edited]).toEqual([expect.objectContaining(saved), expect.objectContaining(saved)])
  expect(await ada.show(id)).toMatchObject({ archived: true, diagnosis: "Podagra", seq: 2 })
})

test("processes that share one HEALTHCRYPT_HOME do not get in each other's way", async () => {
  const outcomes = await Promise.all(
    ["Uno", "Duo", "Tre", "Quattro"].map((firstName) => ada.run(["records", "add"], { input: { ...beer, firstName } })),
  )
  for (const outcome of outcomes) expect(outcome).toMatchObject({ code: 0, stderr: "" })
  const ids = outcomes.map(({ stdout }) => stdout.trim())
  expect((await ada.list()).map((row) => row.id)).toEqual(expect.arrayContaining(ids))
})

test("after all that, every chain verifies", async () => {
  expect(await ada.run(["verify", "--data", server.dataDir])).toMatchObject({ code: 0, stderr: "" })
})
