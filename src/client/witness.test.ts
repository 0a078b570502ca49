import { createHash } from "node:crypto"
import { describe, expect, it } from "vitest"
import { encodeBase64 } from "../encoding/base64.ts"
import { utf8 } from "../encoding/bytes.ts"
import { openNote } from "../proof/checkpoint.ts"
import { verifyCosignature } from "../proof/cosignature.ts"
import { parseVkey } from "../proof/note.ts"
import { MadeLog } from "./made-log.fixture.ts"
import { memoryStorage } from "./storage.fixture.ts"
import type { ClientStorage } from "./storage.ts"
import { type Witness, withWitness } from "./witness.ts"

const time = 1_800_000_000
const never = () => Promise.reject(new Error("asked for a log"))
const using = <T>(
  storage: ClientStorage,
  log: MadeLog,
  work: (witness: Witness) => Promise<T>,
  name: string | null = null,
) => withWitness({ storage, name, logs: [log.log], firstLog: never, now: () => time * 1000 }, work)

/** An honest request. */
function request(log: MadeLog, old: number, size = log.leaves.length): Uint8Array {
  return body(old, old > 0 && old <= size ? log.consistency(old, size) : [], log.note(size))
}
function body(old: number | string, proof: readonly Uint8Array[], note: string): Uint8Array {
  return utf8([`old ${old}`, ...proof.map(encodeBase64), "", note].join("\n"))
}

describe("a witness", () => {
  it("cosigns a log that grows, and its word verifies", async () => {
    const log = new MadeLog().grow(5)
    await using(memoryStorage(), log, async (witness) => {
      for (const [old, size] of [
        [0, 5],
        [5, 5],
        [5, 8],
        [8, 300],
      ] as const) {
        log.grow(Math.max(0, size - log.leaves.length))
        const answer = await witness.addCheckpoint(request(log, old))
        expect(answer, `${old} to ${size}`).toMatchObject({ status: 200 })
        expect(answer.body).toMatch(/^\u2014 healthcrypt-witness\/[0-9a-f]{16} [A-Za-z0-9+/]{102}==\n$/)
        const note = log.note() + answer.body
        expect(await verifyCosignature(parseVkey(witness.vkey), note)).toBe(time)
        expect(await openNote(note, log.origin, log.logKey)).toMatchObject({ size })
        const newest = witness.checkpoint(createHash("sha256").update(log.origin).digest("hex"))
        expect(newest).toMatchObject({ status: 200, body: note })
      }
    })
  })

  it("tells what it cosigned last to whoever starts from elsewhere", async () => {
    const log = new MadeLog().grow(9)
    await using(memoryStorage(), log, async (witness) => {
      expect(await witness.addCheckpoint(request(log, 3))).toEqual({
        status: 409,
        contentType: "text/x.tlog.size",
        body: "0\n",
      })
      await witness.addCheckpoint(request(log, 0))
      expect(await witness.addCheckpoint(request(log, 0))).toMatchObject({ status: 409, body: "9\n" })
      expect(await witness.addCheckpoint(request(log, 4, 7))).toMatchObject({ status: 409, body: "9\n" })
      expect(await witness.addCheckpoint(request(log, 9, 7))).toMatchObject({ status: 400 })
    })
  })

  it("never signs two roots for one size, never goes back, never takes a fork, whatever is proved", async () => {
    const storage = memoryStorage()
    const log = new MadeLog().grow(8)
    const fork = log.fork(4).grow(4, (i) => `fork ${i}`)
    await using(storage, log, async (witness) =>
      expect((await witness.addCheckpoint(request(log, 0))).status).toBe(200),
    )
    await using(storage, log, async (witness) => {
      expect(await witness.addCheckpoint(request(fork, 8))).toMatchObject({ status: 422 })
      fork.grow(4)
      expect(await witness.addCheckpoint(request(fork, 8))).toMatchObject({ status: 422 })
      expect(await witness.addCheckpoint(body(8, fork.consistency(4), fork.note()))).toMatchObject({ status: 422 })
      expect(await witness.addCheckpoint(body(8, log.consistency(5, 8), log.note()))).toMatchObject({ status: 422 })
      expect(await witness.addCheckpoint(request(log, 4, 6))).toMatchObject({ status: 409, body: "8\n" })
      log.grow(2)
      expect(await witness.addCheckpoint(request(log, 8))).toMatchObject({ status: 200 })
    })
  })

  it("takes one at a time: of two that start from the same, one comes too late", async () => {
    const log = new MadeLog().grow(4)
    await using(memoryStorage(), log, async (witness) => {
      await witness.addCheckpoint(request(log, 0))
      log.grow(4)
      const answers = await Promise.all([6, 8, 7].map((size) => witness.addCheckpoint(request(log, 4, size))))
      expect(answers.map(({ status }) => status)).toEqual([200, 409, 409])
      expect(answers[2]!.body).toBe("6\n")
    })
  })

  it("gives no cosignature away that the disk does not have", async () => {
    const whole = memoryStorage()
    let full = false
    const storage: ClientStorage = {
      ...whole,
      put: (name, bytes) => (full ? Promise.reject(new Error("full")) : whole.put(name, bytes)),
    }
    const log = new MadeLog().grow(4)
    await using(storage, log, async (witness) => {
      full = true
      await expect(witness.addCheckpoint(request(log, 0))).rejects.toThrow("full")
      full = false
      expect(await witness.addCheckpoint(request(log, 0, 3))).toMatchObject({ status: 200 })
    })
  })

  it("answers for the empty tree as C2SP says", async () => {
    const log = new MadeLog()
    await using(memoryStorage(), log, async (witness) => {
      expect(await witness.addCheckpoint(request(log, 0))).toMatchObject({ status: 200 })
      expect(await witness.addCheckpoint(body(0, [new Uint8Array(32)], log.grow(2).note()))).toMatchObject({
        status: 422,
      })
    })
  })

  it("refuses unknown logs, and signatures that are missing or wrong beside a right one", async () => {
    const log = new MadeLog().grow(2)
    await using(memoryStorage(), log, async (witness) => {
      const other = new MadeLog("example.com/other").grow(2)
      expect(await witness.addCheckpoint(request(other, 0))).toMatchObject({ status: 404 })
      expect(await witness.addCheckpoint(request(new MadeLog(log.origin, 8).grow(2), 0))).toMatchObject({ status: 403 })
      const [text, line] = log.note().split("\n\n") as [string, string]
      const wrong = log.note(1).split("\n\n")[1]!
      expect(await witness.addCheckpoint(body(0, [], `${text}\n\n${line}${wrong}`))).toMatchObject({ status: 403 })
      const strange = "\u2014 somebody.example AAAAAAAA\n"
      expect(await witness.addCheckpoint(body(0, [], `${text}\n\n${strange}${line}${strange}`))).toMatchObject({
        status: 200,
      })
      expect(witness.checkpoint("00".repeat(32))).toMatchObject({ status: 404 })
    })
  })

  it("refuses everything that is no request", async () => {
    const log = new MadeLog().grow(2)
    const note = log.note()
    const hash = new Uint8Array(32)
    const wrong = {
      nothing: "",
      "no old size": `\n${note}`,
      "a leading zero": body("00", [], note),
      "a sign": body("-1", [], note),
      "an old size above 2^53": body("9007199254740992", [], note),
      "no empty line": utf8(`old 0\n${note}`),
      "no note": body(0, [], ""),
      "no signature line": body(0, [], note.split("\n\n")[0]!),
      "no last line feed": body(0, [], note.trimEnd()),
      "a hash of 31 bytes": body(0, [new Uint8Array(31)], note),
      "64 hashes": body(1, Array(64).fill(hash), note),
      "a carriage return": body(0, [], note.replace("\n", "\r\n")),
      "two lines": body(0, [], note.replace(/^[^\n]+\n/, "")),
      "a size with a leading zero": body(0, [], note.replace("\n2\n", "\n02\n")),
      "bytes that are no text": new Uint8Array([...body(0, [], note), 0xff]),
      "more than any request has": new Uint8Array(65_537),
    }
    await using(memoryStorage(), log, async (witness) => {
      for (const [why, bytes] of Object.entries(wrong))
        expect(await witness.addCheckpoint(typeof bytes === "string" ? utf8(bytes) : bytes), why).toMatchObject({
          status: 400,
        })
      expect(await witness.addCheckpoint(body(0, [], note))).toMatchObject({ status: 200 })
    })
  })

  it("keeps key, name and logs, and refuses others under the same name", async () => {
    const stored = new Map<string, Uint8Array>()
    const storage = () => memoryStorage(stored)
    const log = new MadeLog()
    const vkey = await using(storage(), log, async (witness) => witness.vkey, "witness.example/w1")
    const options = { storage: storage(), name: null, logs: [], firstLog: never, now: () => time * 1000 }
    expect(await withWitness(options, async (witness) => [witness.vkey, witness.logs.length])).toEqual([vkey, 1])
    const refused = { code: "BAD_INPUT_FORMAT" }
    await expect(using(storage(), log, async () => {}, "witness.example/w2")).rejects.toMatchObject(refused)
    await expect(using(storage(), new MadeLog(log.origin, 8), async () => {})).rejects.toMatchObject(refused)
    await expect(using(memoryStorage(), log, async () => {}, "a b")).rejects.toMatchObject(refused)
    stored.set("witness", stored.get("witness")!.subarray(1))
    await expect(using(storage(), log, async () => {})).rejects.toMatchObject({ code: "CANNOT_OPEN" })
  })
})
