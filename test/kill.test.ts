import { spawn } from "node:child_process"
import { createHash, randomInt } from "node:crypto"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, expect, test } from "vitest"
import type { OpenRecord } from "../src/client/open-record.ts"
import { encodeBase64url } from "../src/encoding/base64.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { AppError } from "../src/errors.ts"
import { Desk, runCli } from "./cli.ts"
import { type LiveClient, openClient } from "./client.ts"
import { randomOf } from "./random.ts"
import { bin, type LiveServer, removeFolder, serve, tempFolder } from "./server.ts"

const rounds = 50
const physicians = ["ada", "bea", "cyd"]
const sessionsEach = 2
/** Every other kill comes in the very moment in which an acknowledgement arrives while other writes are on their way. */
const isBetweenAcknowledgements = (round: number) => round % 2 === 1

const seed = Number(process.env.HEALTHCRYPT_TEST_SEED ?? randomInt(2 ** 31))
let folder: string
let server: LiveServer
afterAll(async () => {
  await server?.kill()
  await removeFolder(folder)
})

test(`${rounds} kills while ${physicians.length * sessionsEach} clients write lose nothing that was acknowledged`, {
  timeout: 900_000,
}, async () => {
  console.log(`seed ${seed}: HEALTHCRYPT_TEST_SEED=${seed} picks the same moments`)
  const random = randomOf(seed)
  folder = await tempFolder()
  const dataDir = join(folder, "data")
  server = await serve({ dataDir, args: ["--log-level", "warn"] })
  const { port } = server
  const desk = (username: string) =>
    new Desk({ server: server.url, username, password: `${username} has a password`, home: join(folder, username) })
  const writers: Writer[] = []
  for (const username of physicians) {
    await desk(username).register("First", "Last")
    const { password } = desk(username).where
    for (let i = 0; i < sessionsEach; i++)
      writers.push(new Writer(await openClient(server.url, join(folder, `${username}-${i}`), username, password)))
  }

  const acknowledged = new Map<string, string>()
  let inFlight = 0
  let killedBetween = 0
  for (let round = 0; round < rounds; round++) {
    let killing: Promise<void> | null = null
    const kill = () => {
      killing ??= server.kill()
    }
    const between = isBetweenAcknowledgements(round)
    const earliest = Date.now() + random() * 300
    const timer = between ? null : setTimeout(kill, 5 + random() * 400)
    let heard = 0
    const write = async (writer: Writer) => {
      for (let more = true; more; ) {
        inFlight++
        const head = await writer.writeOnce(random).finally(() => inFlight--)
        more = head !== null && killing === null
        if (head === null) continue
        heard++
        acknowledged.set(`${head.record}/${head.seq}`, encodeBase64url(head.hash))
        if (between && killing === null && heard > 0 && Date.now() > earliest && inFlight > 0) {
          killedBetween++
          kill()
        }
      }
    }
    await Promise.all(writers.map(write))
    if (timer !== null) clearTimeout(timer)
    kill()
    await killing
    server = await serve({ dataDir, port, args: ["--log-level", "warn"] })
    expectStored(join(dataDir, "healthcrypt.db"), acknowledged)
  }
  console.log(`${acknowledged.size} entries acknowledged; ${killedBetween} kills between acknowledgements`)
  expect(killedBetween).toBeGreaterThan(rounds / 4)
  expect(acknowledged.size).toBeGreaterThan(rounds)

  for (const { client } of writers) client.close()
  const verified = await runCli(["verify", "--data", dataDir])
  expect(verified.stderr).toBe("")
  expect(verified.code).toBe(0)
  for (const username of physicians) {
    const { roster, records, session, close } = await openClient(
      server.url,
      join(folder, `${username}-fresh`),
      username,
      desk(username).where.password,
    )
    expect([...roster.refused]).toEqual([])
    for (const id of roster.rows.keys()) {
      const walked = await records.open(id)
      expect(walked.steps.filter((step) => step.unreadable)).toEqual([])
      for (let seq = 0; seq < walked.head.seq; seq++)
        if (acknowledged.has(`${id}/${seq}`))
          expect(encodeBase64url(walked.steps[seq + 1]!.entry.prev!)).toBe(acknowledged.get(`${id}/${seq}`))
    }
    await session.end()
    close()
    // What the machine remembers from registration still fits.
    expect(await desk(username).list()).toHaveLength(roster.rows.size)
  }
})

test("kills while it starts, the first start included, leave nothing that a later start stumbles over", {
  timeout: 300_000,
}, async () => {
  const random = randomOf(seed + 1)
  const dataDir = join(folder, "starting")
  for (let i = 0; i < 12; i++) {
    const child = spawn(process.execPath, [bin, "serve", "--data", dataDir, "--port", "0"], { stdio: "ignore" })
    const gone = new Promise((resolve) => child.once("close", resolve))
    await new Promise((resolve) => setTimeout(resolve, 150 + random() * 500))
    child.kill("SIGKILL")
    await gone
  }
  const started = await serve({ dataDir })
  const dora = new Desk({
    server: started.url,
    username: "dora",
    password: "dora has one too",
    home: join(folder, "d"),
  })
  await dora.register("First", "Last")
  expect(await started.stop()).toBe(0)
  expect((await runCli(["verify", "--data", dataDir])).code).toBe(0)
})

/** Writes to one record at a time, as a client that is told no again and again would. */
class Writer {
  readonly client: LiveClient
  #record: OpenRecord | null = null
  #id: RecordId | null = null
  #written = 0

  constructor(client: LiveClient) {
    this.client = client
  }

  /** One entry. @returns the acknowledged head, or `null` when no answer came */
  async writeOnce(random: () => number): Promise<{ record: RecordId; seq: number; hash: Uint8Array } | null> {
    const { records } = this.client
    const number = ++this.#written
    const body = {
      by: "First Last",
      changes: [[`Basic/${number}`, JSON.stringify({ resourceType: "Basic", id: String(number) })] as const],
    }
    try {
      // After a kill nobody knows whether the last entry was stored: the chain says.
      if (this.#id !== null && this.#record === null) this.#record = await records.open(this.#id)
      const fresh = this.#record === null || random() < 0.05
      this.#record = fresh ? await records.create(body) : await records.write(this.#record!, body)
      this.#id = this.#record.id
      return { record: this.#record.id, seq: this.#record.head.seq, hash: this.#record.head.hash }
    } catch (error) {
      if (!(error instanceof AppError && error.code === "UNAVAILABLE_SERVER")) throw error
      this.#record = null
      if (this.#id !== null) records.forget(this.#id)
      return null
    }
  }
}

/** Every acknowledged entry is in the database, with the statement that was acknowledged. */
function expectStored(file: string, acknowledged: ReadonlyMap<string, string>): void {
  const database = new DatabaseSync(file, { readOnly: true })
  const rows = database.prepare("select record, seq, statement from entry").all()
  database.close()
  const stored = new Map(
    rows.map(({ record, seq, statement }) => [
      `${record}/${seq}`,
      createHash("sha256")
        .update(statement as Uint8Array)
        .digest("base64url"),
    ]),
  )
  const lost = [...acknowledged].filter(([place, hash]) => stored.get(place) !== hash)
  expect(lost).toEqual([])
}
