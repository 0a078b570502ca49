import { spawn } from "node:child_process"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import type { RecordId } from "../../src/encoding/ids.ts"
import { type Desk, desk } from "../cli.ts"
import { openClient } from "../client.ts"
import { give, meet, noteChanged, raiseFalsely } from "../colleagues.ts"
import { bareEnv, bin, type LiveServer, removeFolder, serve, tempFolder } from "../server.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

let folder: string
let server: LiveServer
let ada: Desk
let beta: Desk
let cyd: Desk
/** Of the patient that the tests below share. */
let id: string
const beer = { firstName: "Bea", lastName: "Beer", birthDate: "1961-07-09", diagnosis: "Hypertension" }

beforeAll(async () => {
  folder = await tempFolder()
  server = await serve({ dataDir: join(folder, "data"), args: ["--log-level", "warn"] })
  ;[ada, beta, cyd] = ["ada", "beta", "cyd"].map((name) => desk(server.url, folder, name)) as [Desk, Desk, Desk]
  await ada.register("Ada", "Byron")
  await beta.register("Bea", "Beta")
  await cyd.register("Cyd", "Gamma")
  id = (await ada.run(["records", "add"], { input: beer })).stdout.trimEnd()
})
afterAll(async () => {
  await server.stop()
  await removeFolder(folder)
})

const shown = async (who: Desk, username: string) =>
  JSON.parse((await who.run(["physicians", "show", username, "--json"])).stdout)

test("a colleague is found by their exact username, with the number that both see", async () => {
  const [mine, theirs] = [await shown(ada, "beta"), await shown(beta, "ada")]
  expect(mine).toMatchObject({ username: "beta", name: "", state: "unverified", verified: null })
  expect(mine.safetyNumber).toMatch(/^\d{60}$/)
  expect(mine.safetyNumber).toBe(theirs.safetyNumber)
  expect(mine.fingerprint).toMatch(/^[0-9a-f]{64}$/)
  const { stdout } = await ada.run(["physicians", "show", "beta"])
  expect(stdout).toContain("Not verified")
  expect(stdout.replace(/\D/g, "")).toContain(mine.safetyNumber)
  expect(stdout).toMatch(/\n {2}healthcrypt physicians verify beta\n$/)
  const nobody = await ada.run(["physicians", "show", "bet"])
  expect(nobody).toMatchObject({ code: 1, stdout: "" })
  expect(nobody.stderr).toContain("username")
})

test("nothing is shared before the number was compared", async () => {
  const { code, stderr } = await ada.run(["share", id, "beta", "--role", "writer"])
  expect(code).toBe(1)
  expect(stderr).toContain("verified")
  expect(stderr).toContain("`healthcrypt physicians verify beta`")
})

test("verify takes the 60 digits on standard input, in groups or not, and refuses others", async () => {
  const { safetyNumber } = await shown(beta, "ada")
  for (const input of [
    "",
    "12345",
    safetyNumber.slice(1),
    `${safetyNumber}1`,
    safetyNumber.split("").reverse().join(""),
  ]) {
    const { code, stderr } = await ada.run(["physicians", "verify", "beta"], { input })
    expect({ input, code }).toEqual({ input, code: 1 })
    expect(stderr).toContain("60 digits")
  }
  expect((await ada.run(["physicians", "verify", "beta"], { input: "7" })).stderr).toBe(
    "This is 1 digit; it takes 60 digits.\n",
  )
  expect(await shown(ada, "beta")).toMatchObject({ state: "unverified" })
  const input = `${safetyNumber.replace(/(\d{5})/g, "$1-")}\n`
  expect(await ada.run(["physicians", "verify", "beta"], { input })).toMatchObject({ code: 0 })
  expect(await shown(ada, "beta")).toMatchObject({ state: "verified", verified: { how: "digits" } })
  // It follows the physician to another machine.
  const elsewhere = ada.with({ home: join(folder, "ada's other machine") })
  expect(await shown(elsewhere, "beta")).toMatchObject({ state: "verified" })
})

test("shared, listed, accepted, and then edited by the other", async () => {
  expect(await ada.run(["share", id, "beta", "--role", "writer"])).toMatchObject({ code: 0, stdout: "" })
  const waiting = await beta.run(["shares", "list", "--json"])
  expect(JSON.parse(waiting.stdout)).toMatchObject([
    { id, from: "ada", name: "Ada Byron", role: "writer", until: null, verified: false },
  ])
  expect(JSON.parse((await beta.run(["records", "list", "--json"])).stdout)).toEqual([])
  const first = "not yet: first `healthcrypt physicians verify ada`"
  const refused = await beta.run(["shares", "accept", id])
  expect(refused).toMatchObject({ code: 1, stdout: "", stderr: `${id}: ${first}\n` })
  const listed = (await beta.run(["shares", "list"])).stdout
  expect(listed).toContain(first)
  expect(listed.split("\n")[0]).toMatch(/^Record {2,}From {2,}Verified {2}Role/)
  expect(JSON.parse(waiting.stdout)[0].problem).toMatchObject({ code: "NOT_ALLOWED_UNVERIFIED" })
  expect(await beta.run(["records", "show", id])).toMatchObject({ code: 1, stdout: "" })
  const { safetyNumber } = await shown(ada, "beta")
  await beta.run(["physicians", "verify", "ada"], { input: safetyNumber })
  expect(await beta.run(["shares", "accept", id])).toMatchObject({ code: 0, stdout: "" })
  expect(await beta.run(["records", "edit", id], { input: { diagnosis: "Asthma" } })).toMatchObject({ code: 0 })
  expect(JSON.parse((await ada.run(["records", "show", id, "--json"])).stdout)).toMatchObject({ diagnosis: "Asthma" })
  // The name travelled in what was sealed, and is remembered with the verification.
  expect(await shown(ada, "beta")).toMatchObject({ name: "Bea Beta" })
  expect(await shown(beta, "ada")).toMatchObject({ name: "Ada Byron" })
  const members = JSON.parse((await ada.run(["members", id, "--json"])).stdout)
  expect(members.map((one: { username: string; role: string }) => `${one.username} ${one.role}`).sort()).toEqual([
    "ada owner",
    "beta writer",
  ])
  const { stdout } = await ada.run(["records", "history", id])
  expect(stdout).toContain("beta")
  expect(stdout).toContain("Shared with beta as writer")
})

test("a reader reads, and neither the command nor the server lets them write", async () => {
  await ada.run(["physicians", "verify", "cyd"], { input: (await shown(cyd, "ada")).safetyNumber })
  await cyd.run(["physicians", "verify", "ada"], { input: (await shown(ada, "cyd")).safetyNumber })
  const day = new Date(Date.now() + 40 * 86_400_000).toISOString().slice(0, 10)
  for (const until of ["yesterday", "2020-01-01", "2026-02-30"])
    expect((await ada.run(["share", id, "cyd", "--role", "reader", "--until", until])).code, until).toBeGreaterThan(0)
  expect(await ada.run(["share", id, "cyd", "--role", "reader", "--until", day])).toMatchObject({ code: 0 })
  expect(JSON.parse((await cyd.run(["shares", "list", "--json"])).stdout)).toMatchObject([{ id, until: day }])
  expect(await cyd.run(["shares", "accept", id])).toMatchObject({ code: 0 })
  expect((await cyd.run(["records", "show", id])).stdout).toContain("Asthma")
  const refused = await cyd.run(["records", "edit", id], { input: { diagnosis: "Gout" } })
  expect(refused).toMatchObject({ code: 1, stdout: "" })
  expect(refused.stderr).toContain("role")
  expect(await cyd.run(["unshare", id, "beta"])).toMatchObject({ code: 1 })
})

test("watch prints changes as they come", async () => {
  const env = {
    HEALTHCRYPT_SERVER: server.url,
    HEALTHCRYPT_USERNAME: beta.where.username,
    HEALTHCRYPT_PASSWORD: beta.where.password,
    HEALTHCRYPT_HOME: beta.where.home,
  }
  const child = spawn(process.execPath, [bin, "records", "watch", "--json"], { env: { ...bareEnv, ...env } })
  let out = ""
  let watching = ""
  child.stdout.on("data", (chunk) => (out += chunk))
  child.stderr.on("data", (chunk) => (watching += chunk))
  const ended = new Promise((resolve) => child.once("close", resolve))
  await vi.waitFor(() => expect(watching).toContain("Watching"), 30_000)
  await ada.run(["records", "edit", id], { input: { diagnosis: "Migraine" } })
  await vi.waitFor(() => expect(out).toContain("Migraine"), 5_000)
  expect(JSON.parse(out.trim())).toMatchObject({ record: id, author: "ada", patient: "Bea Beer" })
  child.kill("SIGINT")
  expect(await ended).toBe(0)
})

test("who is removed keeps nothing, and the last owner stays", async () => {
  const last = await ada.run(["unshare", id, "ada"])
  expect(last).toMatchObject({ code: 1 })
  expect(last.stderr).toContain("owner")
  const removed = await ada.run(["unshare", id, "beta"])
  expect(removed).toMatchObject({ code: 0 })
  expect(removed.stderr).toContain("they have read")
  expect(await ada.run(["unshare", id, "beta"])).toMatchObject({ code: 1 })
  expect(await beta.run(["records", "show", id])).toMatchObject({ code: 1, stdout: "" })
  expect(JSON.parse((await beta.run(["records", "list", "--json"])).stdout)).toEqual([])
  expect(await cyd.run(["unshare", id, "cyd"])).toMatchObject({ code: 0 })
  expect(JSON.parse((await ada.run(["members", id, "--json"])).stdout)).toHaveLength(1)
})

test("many are shared at once by ids on standard input, and declined one by one", async () => {
  const ids = []
  for (let n = 0; n < 5; n++)
    ids.push((await ada.run(["records", "add"], { input: { ...beer, lastName: `No${n}` } })).stdout.trim())
  const all = await ada.run(["share", "-", "beta", "--role", "reader"], { input: ids.join("\n") })
  expect(all).toMatchObject({ code: 0 })
  const again = await ada.run(["share", "-", "beta", "--role", "reader"], { input: ids.join(" ") })
  expect(again.stderr).toBe("5 were shared so already.\n")
  expect(await beta.run(["shares", "decline", ids[0]!])).toMatchObject({ code: 0 })
  expect(await beta.run(["shares", "accept", ...ids.slice(1)])).toMatchObject({ code: 0 })
  expect(await beta.run(["shares", "accept", ids[0]!])).toMatchObject({ code: 1 })
  expect(JSON.parse((await beta.run(["records", "list", "--json"])).stdout)).toHaveLength(4)
  // What was accepted is left by leaving it, not by declining.
  const accepted = await beta.run(["shares", "decline", ids[1]!])
  expect(accepted).toMatchObject({ code: 1, stdout: "" })
  expect(accepted.stderr).toBe(
    `${ids[1]}: NOT_ALLOWED. You have accepted this record. To leave it: healthcrypt unshare ${ids[1]} beta\n`,
  )
  expect(await ada.run(["shares", "decline", id])).toMatchObject({ code: 1 })
  const again1 = await beta.run(["shares", "accept", ids[1]!])
  expect(again1).toMatchObject({ code: 0, stdout: "", stderr: "1 was yours already.\n" })
  const again2 = await beta.run(["shares", "accept", ids[1]!, ids[2]!])
  expect(again2).toMatchObject({ code: 0, stderr: "2 were yours already.\n" })
  expect(JSON.parse((await beta.run(["records", "list", "--json"])).stdout)).toHaveLength(4)
  expect(await beta.run(["unshare", ids[1]!, "beta"])).toMatchObject({
    code: 0,
    stderr: "You have left this record.\n",
  })
})

test("usage is told with exit code 2", async () => {
  for (const args of [
    ["share", id, "beta"],
    ["share", id],
    ["share", id, "beta", "--role", "god"],
    ["shares", "accept"],
    ["shares", "accept", "Mustermann"],
    ["share", id, "beta", "--role", "reader", "--until", "2020-01-01"],
    ["share", id, "beta", "--role", "reader", "--until", "2026-02-31"],
  ]) {
    const { code, stderr } = await ada.run(args)
    expect(code, args.join(" ")).toBe(2)
    expect(stderr).not.toContain("Mustermann")
  }
  const many = await ada.run(["share", "-", "beta", "--role", "reader"], { input: `${id}\nMustermann\n` })
  expect(many).toMatchObject({ code: 2, stdout: "" })
  expect(many.stderr).toContain("Number 2 of 2")
  const none = await ada.run(["share", "-", "beta", "--role", "reader"], { input: " \n" })
  expect(none).toMatchObject({ code: 2, stdout: "" })
  expect(none.stderr).toContain("No record's id came")
})

test("one's own username is told from a colleague's, and too few digits from others", async () => {
  for (const args of [
    ["physicians", "show", "ada"],
    ["physicians", "verify", "ada"],
    ["share", id, "ada", "--role", "reader"],
  ]) {
    const { code, stderr } = await ada.run(args)
    expect({ args, code }).toEqual({ args, code: 1 })
    expect(stderr).toContain("your own username")
  }
  const { stderr } = await ada.run(["physicians", "verify", "beta"], { input: "12345" })
  expect(stderr).toContain("These are 5 digits")
})

test("a colleague whose key does not open is named, and an owner removes them", async () => {
  const [record, mal] = [(await ada.run(["records", "add"], { input: beer })).stdout.trimEnd(), "mal"]
  await desk(server.url, folder, mal).register("Mal", "Delta")
  const program = (who: Desk) =>
    openClient(server.url, join(folder, `${who.where.username}'s own`), who.where.username, who.where.password)
  const [owner, writer] = [await program(ada), await program(desk(server.url, folder, mal))]
  await meet(owner, writer)
  await give(owner, writer, record as RecordId, "writer")
  await raiseFalsely(writer, record as RecordId)
  for (const command of [
    ["records", "list"],
    ["records", "show", record],
  ]) {
    const { code, stdout, stderr } = await ada.run(command)
    expect({ command, code }).toEqual({ command, code: 3 })
    expect(stdout).not.toContain(record)
    expect(stderr).toContain("an owner can remove them")
  }
  expect((await ada.run(["members", record])).stdout).toContain(mal)
  expect(await ada.run(["unshare", record, mal])).toMatchObject({ code: 0 })
  expect((await ada.run(["records", "show", record])).stdout).toContain("Hypertension")
  for (const { close } of [owner, writer]) close()
})

test("members whose keys have changed are named, and are removed with each other", async () => {
  const record = (await ada.run(["records", "add"], { input: beer })).stdout.trimEnd() as RecordId
  const program = (who: Desk) =>
    openClient(server.url, join(folder, `${who.where.username}'s own`), who.where.username, who.where.password)
  const others = ["nan", "nil"].map((name) => desk(server.url, folder, name)) as [Desk, Desk]
  for (const other of others) await other.register("Nan", "Nil")
  const works = await Promise.all([ada, ...others].map(program))
  const [owner, nan, nil] = works as [(typeof works)[0], (typeof works)[0], (typeof works)[0]]
  for (const one of [nan, nil]) {
    await meet(owner, one)
    await give(owner, one, record, "writer")
  }
  await noteChanged(owner, nan, nil)
  const words =
    /The keys of nan, nil have changed since you verified them\. Until an owner removes them \(`healthcrypt unshare`\)/
  expect((await ada.run(["records", "show", record])).stdout).toMatch(words)
  expect((await ada.run(["members", record])).stderr).toMatch(words)
  expect(JSON.parse((await ada.run(["members", record, "--json"])).stdout)).toHaveLength(3)
  const confirmed = await ada.run(["members", record, "--confirm", "--without", "nan"])
  expect(confirmed).toMatchObject({ code: 2, stdout: "" })
  expect(confirmed.stderr).toContain("The keys of nil have changed since you verified them")
  const removed = await ada.run(["unshare", record, "nan"])
  expect(removed).toMatchObject({ code: 0, stdout: "" })
  expect(removed.stderr).toContain("because their keys have changed since you verified them: nil.")
  expect(JSON.parse((await ada.run(["members", record, "--json"])).stdout)).toMatchObject([{ keysChanged: false }])
  for (const { close } of works) close()
})
