import { beforeAll, describe, expect, it } from "vitest"
import { sha256 } from "#sha256"
import { type Body, encodeBody, parseBody } from "../../src/clinical/body.ts"
import { applyBody, type Chart, emptyChart } from "../../src/clinical/fold.ts"
import { encodeSummary, parseSummary, summaryOf } from "../../src/clinical/summary.ts"
import { parseUtf8 } from "../../src/encoding/bytes.ts"
import { encodeFrame } from "../../src/encoding/frame.ts"
import type { PhysicianId, RecordId } from "../../src/encoding/ids.ts"
import { type ChainHead, checkToken, extendChain } from "../../src/proof/chain.ts"
import { type EntryStatement, encodeEntry, type Member } from "../../src/proof/entry.ts"
import { fingerprintOf } from "../../src/proof/identity.ts"
import { statementHash } from "../../src/proof/statement.ts"
import { encrypt } from "../../src/vault/fernet.ts"
import { asSecretKey, commitTo, deriveKey, type RecordKey } from "../../src/vault/keys.ts"
import { entryPlace, summaryPlace } from "../../src/vault/places.ts"
import { open } from "../../src/vault/seal.ts"
import { importSigner, type Signer } from "../../src/vault/signer.ts"
import { expectOnPage, fromHex, hex } from "./made.ts"
import { workedExample } from "./worked-example.ts"

let example: (name: string) => string
let signer: Signer
let key: RecordKey
let sealKey: Uint8Array
let record: RecordId
let author: PhysicianId
beforeAll(async () => {
  example = await workedExample("entry.md")
  signer = await importSigner(asSecretKey(bytes("sign seed")))
  key = asSecretKey<"record">(bytes("record key"))
  sealKey = new Uint8Array(1216).fill(bytes("seal key byte")[0]!)
  record = example("record") as RecordId
  author = example("author") as PhysicianId
})
const bytes = (name: string) => fromHex(example(name))

/** One entry, from its body on. */
async function make(seq: number, prefix: string, before: Chart, body: Body, more: Partial<EntryStatement>) {
  const chart = applyBody(before, body)
  const time = Date.parse(example(`${prefix}time`))
  const encrypted = async (place: Uint8Array, content: Uint8Array, iv: string) =>
    encrypt(await deriveKey(key, place), encodeFrame(content), { now: time, iv: bytes(iv) })
  const [content, summary] = [encodeBody(body), encodeSummary(summaryOf(chart))]
  const bodyToken = await encrypted(entryPlace(record, 0, seq, author), content, "body iv")
  const summaryToken = await encrypted(summaryPlace(record, 0, seq), summary, "summary iv")
  const statement = encodeEntry({
    v: 1,
    suite: "F1",
    record,
    seq,
    epoch: 0,
    kind: "write",
    author,
    time,
    seen: { size: Number(example(`${prefix}seen size`)), root: bytes(`${prefix}seen root`) },
    body: { hash: sha256(bodyToken), size: bodyToken.length },
    summary: { hash: sha256(summaryToken), size: summaryToken.length },
    ...more,
  })
  const signature = await signer.sign("entry", statement)
  const onPage = {
    body: hex(content),
    "body hash": hex(sha256(bodyToken)),
    "body size": bodyToken.length,
    summary: parseUtf8(summary),
    "summary hash": hex(sha256(summaryToken)),
    "summary size": summaryToken.length,
    statement: hex(statement),
    "statement hash": hex(statementHash(statement)),
    signature: hex(signature),
  }
  const named = Object.fromEntries(Object.entries(onPage).map(([name, value]) => [prefix + name, value]))
  return { chart, statement, signature, bodyToken, summaryToken, onPage: named }
}

async function makeBoth() {
  const fingerprint = fingerprintOf(author, signer.publicKey, sealKey)
  const by = example("by")
  const first = await make(
    0,
    "",
    emptyChart(),
    { by, changes: [["Patient/1", example("patient")]] },
    {
      kind: "open",
      members: [{ physician: author, fingerprint, role: "owner" }],
      keyCommit: await commitTo(key, record, 0),
    },
  )
  const prev = statementHash(first.statement)
  const second = await make(1, "2 ", first.chart, { by, changes: [], archived: true }, { prev })
  return { first, second, fingerprint }
}

/** The third entry shares the record, the fourth takes it back under a new key. */
async function makeMembers(prev: Uint8Array, fingerprint: Uint8Array, chart: Chart) {
  const recipient = example("recipient") as PhysicianId
  const ada: Member = { physician: author, fingerprint, role: "owner" }
  const bea: Member = { physician: recipient, fingerprint: bytes("recipient print"), role: "writer" }
  const next = async (prefix: string, before: Uint8Array, more: Pick<EntryStatement, "seq" | "epoch" | "members">) => {
    const seen = { size: Number(example(`${prefix}seen size`)), root: bytes(`${prefix}seen root`) }
    const time = Date.parse(example(`${prefix}time`))
    const base = { v: 1, suite: "F1", record, prev: before, kind: "members", author, time, seen } as const
    const statement = encodeEntry({ ...base, ...more })
    const onPage = {
      [`${prefix}statement`]: hex(statement),
      [`${prefix}statement hash`]: hex(statementHash(statement)),
      [`${prefix}signature`]: hex(await signer.sign("entry", statement)),
    }
    return { hash: statementHash(statement), onPage }
  }
  const grants = [{ recipient, hash: bytes("3 grant hash") }]
  const third = await next("3 ", prev, { seq: 2, epoch: 0, members: [ada, bea], ...{ grants } })
  const fresh = asSecretKey<"record">(bytes("4 record key"))
  const iv = { now: Date.parse(example("4 time")), iv: bytes("summary iv") }
  const place = summaryPlace(record, 1, 3)
  const token = await encrypt(await deriveKey(fresh, place), encodeFrame(encodeSummary(summaryOf(chart))), iv)
  const keyCommit = await commitTo(fresh, record, 1)
  const summary = { hash: sha256(token), size: token.length }
  const fourth = await next("4 ", third.hash, { seq: 3, epoch: 1, members: [ada], ...{ keyCommit, summary } })
  const sealed = {
    "4 key commitment": hex(keyCommit),
    "4 summary hash": hex(summary.hash),
    "4 summary size": summary.size,
  }
  return { ...third.onPage, ...fourth.onPage, ...sealed }
}

describe("docs/formats/entry.md", () => {
  it("is these four entries, byte for byte", async () => {
    const { first, second, fingerprint } = await makeBoth()
    const members = await makeMembers(statementHash(second.statement), fingerprint, second.chart)
    const commit = await commitTo(key, record, 0)
    const keys = { "sign key": hex(signer.publicKey), fingerprint: hex(fingerprint), "key commitment": hex(commit) }
    expectOnPage(example, { ...keys, ...first.onPage, ...second.onPage, ...members })
  })

  it("verifies as a chain, from the page's bytes alone", async () => {
    const keys = { signKey: bytes("sign key"), sealKey }
    let head: ChainHead | null = null
    for (const [prefix, leaf] of [
      ["", 4],
      ["2 ", 5],
      ["3 ", 6],
      ["4 ", 7],
    ] as const) {
      const signed = { statement: bytes(`${prefix}statement`), signature: bytes(`${prefix}signature`) }
      head = (await extendChain(head, record, signed, leaf, () => keys)).head
      expect(hex(head.hash)).toBe(example(`${prefix}statement hash`))
    }
    expect(head).toMatchObject({ seq: 3, epoch: 1, leaf: 7, members: [{ physician: author, role: "owner" }] })
    expect(head!.members).toHaveLength(1)
    expect(hex(head!.commits.get(0)!)).toBe(example("key commitment"))
    expect(hex(head!.commits.get(1)!)).toBe(example("4 key commitment"))
  })

  it("opens to what was written", async () => {
    const { first, second } = await makeBoth()
    for (const [seq, prefix, made] of [
      [0, "", first],
      [1, "2 ", second],
    ] as const) {
      const body = await open(key, entryPlace(record, 0, seq, author), made.bodyToken)
      expect(hex(body)).toBe(example(`${prefix}body`))
      checkToken({ hash: bytes(`${prefix}body hash`), size: Number(example(`${prefix}body size`)) }, made.bodyToken)
      expect(parseBody(body).by).toBe(example("by"))
      const summary = await open(key, summaryPlace(record, 0, seq), made.summaryToken)
      expect(parseSummary(summary)).toMatchObject({ lastName: "Kuhlman", birthDate: "1961-07-09", archived: seq === 1 })
    }
  })
})
