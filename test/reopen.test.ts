import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { describe, expect, it, vi } from "vitest"
import { changePassword, renewWords, reopen, signIn } from "../src/client/account.ts"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations } from "../src/client/invitations.ts"
import { share } from "../src/client/sharing.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import { parseUtf8, utf8 } from "../src/encoding/bytes.ts"
import { type AccountReply, formerAccount } from "../src/protocol/accounts.ts"
import { paths } from "../src/protocol/paths.ts"
import { auditDatabase } from "../src/server/audit/audit.ts"
import { Desk } from "./cli.ts"
import { recover } from "./client.ts"
import { brady, give, many, meet, none, physicians, refused, suspicions } from "./colleagues.ts"
import { type Between, openPractice, password } from "./practice.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

const practice = await openPractice()

function sql(text: string, ...values: (string | number | Uint8Array)[]) {
  const database = new DatabaseSync(join(practice.folder, "data/healthcrypt.db"), { timeout: 10_000 })
  const rows = database.prepare(text).all(...values)
  database.close()
  return rows
}

/** What a failing disk, or whoever runs the server, does to the newest of something. */
const damage = (column: string, username: string) =>
  sql(`update physician set ${column} = zeroblob(length(${column})) where username = ?`, username)

async function prepared(tag: string) {
  const names = [`ada-${tag}`, `ben-${tag}`]
  const [ada, ben] = (await physicians(practice, ...names)) as [Workspace, Workspace]
  await meet(ada, ben)
  const { id } = await createPatient(ada, brady)
  await give(ada, ben, id, "writer")
  const { id: waiting } = await createPatient(ben, brady)
  await share(ben, [waiting], names[0]!, "reader", null, many)
  await acceptInvitations(ada, [waiting], many)
  await ada.roster.fold(true)
  await ada.session.updateKeyring((keyring) => keyring)
  return { ada, ben, name: names[0]!, ids: [id, waiting].sort() }
}

describe("a newest keyring that does not open", () => {
  it("stops every client, and nothing goes back by itself", async () => {
    const { name } = await prepared("stops")
    damage("keyring", name)
    for (const device of [name, `${name}, new`])
      await expect(signIn(practice.device(device), name, password)).rejects.toEqual(refused("CANNOT_OPEN"))
  })

  it("gives way to a former one's keys when its physician asks: colleagues unverified, records all there", async () => {
    const { ada, name, ids } = await prepared("asks")
    const newest = ada.session.keyringNumber
    damage("keyring", name)
    const { session, from } = await reopen(practice.device(`${name}, new`), name, password)
    expect([from, session.keyringNumber]).toEqual([newest - 1, newest + 1])
    expect(session.keyring.colleagues).toEqual([])
    expect(session.keyring.roster).toEqual({ segments: [], complete: 0 })
    const work = workspaceOf(session)
    await work.roster.load()
    expect(await suspicions(work)).toEqual(none)
    expect([...work.roster.rows.keys()].sort()).toEqual(ids)
    // A device with pins goes on from there, and the next log-in is an ordinary one.
    const known = await practice.open(name)
    expect(known.session.keyringNumber).toBe(newest + 1)
    expect([...known.roster.rows.keys()].sort()).toEqual(ids)
    expect(await suspicions(known)).toEqual(none)
    await expect(share(known, [ids[0]!], "ben-asks", "writer", null, many)).rejects.toEqual(
      refused("NOT_ALLOWED_UNVERIFIED"),
    )
  })

  it("is not replaced where it opens", async () => {
    const { ada, name } = await prepared("opens")
    const { session, from } = await reopen(practice.device(name), name, password)
    expect([from, session.keyringNumber]).toEqual([null, ada.session.keyringNumber])
    expect(session.keyring.colleagues).toHaveLength(1)
  })

  it("is opened with the words, too, and so is a profile that is damaged", async () => {
    const { ada, name, ids } = await prepared("words")
    const { words } = await renewWords(ada.session, password)
    damage("keyring", name)
    damage("profile", name)
    const text = words.join(" ")
    await expect(recover(practice.device("by words"), name, text, password)).rejects.toEqual(refused("CANNOT_OPEN"))
    const { session } = await recover(practice.device("by words"), name, text, password, true)
    expect(session.keyring.colleagues).toEqual([])
    const work = await practice.open(name)
    expect([...work.roster.rows.keys()].sort()).toEqual(ids)
  })

  it("is opened at the command line by a command of its own, which says what that means", async () => {
    const { name } = await prepared("cli")
    damage("keyring", name)
    const desk = new Desk({ server: practice.server.url, username: name, password, home: join(practice.folder, name) })
    const stopped = await desk.run(["records", "list"])
    expect(stopped).toMatchObject({ code: 1, stdout: "" })
    expect(stopped.stderr).toContain("healthcrypt reopen")
    const opened = await desk.run(["reopen"])
    expect(opened).toMatchObject({ code: 0, stdout: "" })
    expect(opened.stderr).toMatch(/call them first[\s\S]*open again/)
    expect(await desk.list()).toHaveLength(2)
    expect((await desk.run(["reopen"])).stderr).toContain("Nothing was changed")
  })

  it("is told nothing of former ones without a fresh proof", async () => {
    const { ada } = await prepared("proof")
    practice.pass(6 * 60_000)
    const asked = ada.session.around.transport.call("GET", paths.formerAccount, { reply: formerAccount.reply })
    await expect(asked).rejects.toEqual(refused("NOT_ALLOWED_PROOF"))
  })
})

describe("a self-grant that does not open", () => {
  it("gives way to the newest before it that does", async () => {
    const { ada, name, ids } = await prepared("grant")
    const { physician } = ada.session
    const file = join(practice.folder, "data/healthcrypt.db")
    // As if one of ada's devices had replaced them with what does not open.
    sql(
      `insert into replaced_self_grant select physician, record, epoch, token_sha256, token, signed, 1 from self_grant
        where physician = ?`,
      physician,
    )
    sql("update self_grant set token = zeroblob(105) where physician = ?", physician)
    const fresh = await practice.open(name, `${name}, without a roster`, async (request, send) =>
      request.path.startsWith("/api/segments") ? { status: 200, body: new Uint8Array(0) } : send(request),
    )
    expect([...fresh.roster.rows.keys()].sort()).toEqual(ids)
    for (const id of ids) await fresh.records.open(id)
    const { findings } = await auditDatabase(file, null)
    expect(findings.map(({ row }) => row)).toContainEqual(expect.stringContaining("self_grant"))
  })
})

describe("a way to unlock that was replaced", () => {
  it("lies nowhere in the database any more", async () => {
    await practice.register("zoe")
    const old = sql(
      "select opaque_record, recovery_key, token from physician join unlock on physician = id where username = 'zoe'",
    )
    const work = await practice.open("zoe")
    await changePassword(work.session, password, "another long password")
    await renewWords(work.session, "another long password")
    const file = join(practice.folder, "data/healthcrypt.db")
    await expect
      .poll(async () => {
        const [database, log] = await Promise.all([
          readFile(file),
          readFile(`${file}-wal`).catch(() => Buffer.alloc(0)),
        ])
        return old
          .flatMap((row) => Object.values(row))
          .filter((value) => [database, log].some((bytes) => bytes.includes(Buffer.from(value as Uint8Array)))).length
      })
      .toBe(0)
  })

  it("opens nothing, also where the server first shows the account as it was and then as it is", async () => {
    await practice.register("yan")
    const [old] = sql("select opaque_record from physician where username = 'yan'")
    let before: Pick<AccountReply, "identity" | "unlocks"> | null = null
    const atSignIn =
      (take: (reply: AccountReply) => object): Between =>
      async (request, send) => {
        const answer = await send(request)
        if (request.path !== paths.loginFinish) return answer
        const reply = JSON.parse(parseUtf8(answer.body))
        return { ...answer, body: utf8(JSON.stringify({ ...reply, ...take(reply) })) }
      }
    const watching = atSignIn(({ identity, unlocks }) => {
      before = { identity, unlocks }
      return {}
    })
    const work = await practice.open("yan", "yan", watching)
    await changePassword(work.session, password, "another long password")
    await createPatient(work, brady)
    await work.session.updateKeyring((keyring) => keyring)
    await work.session.pins.save()
    sql("update physician set opaque_record = ? where username = 'yan'", old!.opaque_record as Uint8Array)
    const lying = atSignIn(() => before ?? {})
    for (const device of ["yan", "fresh"])
      await expect(signIn(practice.device(device, lying), "yan", password)).rejects.toEqual(
        refused(expect.stringMatching(/^TAMPERED/)),
      )
  })
})
