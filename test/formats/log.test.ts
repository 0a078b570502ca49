import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto"
import { beforeAll, describe, expect, it } from "vitest"
import { folderOf } from "../../src/client/monitor-memory.ts"
import { fetchHashes, fetchLeaves } from "../../src/client/tiles.ts"
import { context } from "../../src/encoding/context.ts"
import { type Id, idBytes, type PracticeId } from "../../src/encoding/ids.ts"
import { logOrigin, openNote } from "../../src/proof/checkpoint.ts"
import { cosignatureMessage, signCosignature, verifyCosignature } from "../../src/proof/cosignature.ts"
import { leafData } from "../../src/proof/leaf.ts"
import { Frontier, leafHash, verifyConsistency, verifyInclusion } from "../../src/proof/merkle.ts"
import { encodeVkey, noteTypes, parseVkey } from "../../src/proof/note.ts"
import { verifyStretch } from "../../src/proof/stretch.ts"
import { logSigner } from "../../src/server/log.ts"
import { workedExample } from "./worked-example.ts"

let example: (name: string) => string
beforeAll(async () => {
  example = await workedExample("log.md")
})

const bytes = (name: string) => new Uint8Array(Buffer.from(example(name), "hex"))
const hex = (value: Uint8Array) => Buffer.from(value).toString("hex")
const sha256 = (...parts: readonly Uint8Array[]) => createHash("sha256").update(Buffer.concat(parts)).digest()
const note = () =>
  `${[1, 2, 3].map((line) => `${example(`note, line ${line}`)}\n`).join("")}\n${example("note, line 5")}\n`

describe("docs/formats/log.md, a leaf", () => {
  const time = () => Date.parse(example("time"))

  it("has these contexts", () => {
    const [subject, actor] = [idBytes(example("record") as Id), idBytes(example("actor") as Id)]
    const number = Number(example("number"))
    expect(hex(sha256(Buffer.from(example("statement"))))).toBe(example("statement hash"))
    expect(hex(context("leaf-tag", subject, example("stream"), number))).toBe(example("tag context"))
    const fields = [bytes("salt"), example("type"), time(), actor, subject, number, bytes("statement hash")]
    expect(hex(context("leaf", ...fields))).toBe(example("leaf context"))
  })

  it("is this data and this hash", () => {
    const data = leafData({
      subject: example("record") as Id,
      stream: "entry",
      number: Number(example("number")),
      type: "entry",
      time: time(),
      actor: example("actor") as Id,
      salt: bytes("salt"),
      statementHash: bytes("statement hash"),
    })
    expect(hex(data)).toBe(example("leaf data"))
    expect(hex(leafHash(data))).toBe(example("node 0/3"))
  })

  it("comes out of a second implementation, written from the page alone", () => {
    const data = Buffer.concat([sha256(bytes("tag context")), sha256(bytes("leaf context"))])
    expect(hex(data)).toBe(example("leaf data"))
    expect(hex(sha256(Buffer.of(0), data))).toBe(example("node 0/3"))
  })
})

describe("docs/formats/log.md, the tree", () => {
  const data = () => [0, 1, 2, 3, 4].map((i) => (i === 3 ? bytes("leaf data") : new Uint8Array(64).fill(i)))

  it("has these nodes and this root", () => {
    const frontier = new Frontier()
    const nodes = data().flatMap((leaf) => frontier.append(leafHash(leaf)))
    for (const { level, index, hash } of nodes) expect(hex(hash)).toBe(example(`node ${level}/${index}`))
    expect(nodes).toHaveLength(8)
    expect(hex(frontier.root())).toBe(example("root"))
  })

  it("has them in a second implementation, written from the page alone", () => {
    const node = (left: string, right: string) => hex(sha256(Buffer.of(1), bytes(left), bytes(right)))
    for (const [i, leaf] of data().entries()) expect(hex(sha256(Buffer.of(0), leaf))).toBe(example(`node 0/${i}`))
    expect(node("node 0/0", "node 0/1")).toBe(example("node 1/0"))
    expect(node("node 0/2", "node 0/3")).toBe(example("node 1/1"))
    expect(node("node 1/0", "node 1/1")).toBe(example("node 2/0"))
    expect(node("node 2/0", "node 0/4")).toBe(example("root"))
  })

  it("has these proofs", () => {
    const inclusion = ["node 0/2", "node 1/0", "node 0/4"].map(bytes)
    expect(verifyInclusion(bytes("node 0/3"), 3, 5, inclusion, bytes("root"))).toBe(true)
    const consistency = ["node 0/2", "node 0/3", "node 1/0", "node 0/4"].map(bytes)
    const oldRoot = sha256(Buffer.of(1), bytes("node 1/0"), bytes("node 0/2"))
    expect(verifyConsistency(3, oldRoot, 5, bytes("root"), consistency)).toBe(true)
  })
})

describe("docs/formats/log.md, the checkpoint", () => {
  const origin = () => logOrigin(example("practice") as PracticeId)

  it("is what the server signs and a client opens", async () => {
    const signer = logSigner(bytes("log seed"))
    expect(hex(signer.publicKey)).toBe(example("log key"))
    const checkpoint = { origin: origin(), size: 5, root: bytes("root") }
    expect(signer.sign(checkpoint)).toBe(note())
    expect(await openNote(note(), origin(), bytes("log key"))).toEqual(checkpoint)
  })

  it("comes out of a second implementation, written from the page alone", () => {
    const text = `healthcrypt/${example("practice")}\n5\n${Buffer.from(bytes("root")).toString("base64")}\n`
    const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), bytes("log seed")])
    const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" })
    const jwk = createPublicKey(key).export({ format: "jwk" })
    expect(Buffer.from(String(jwk.x), "base64url").toString("hex")).toBe(example("log key"))
    const id = sha256(Buffer.from(`healthcrypt/${example("practice")}`), Buffer.of(0x0a, 0x01), bytes("log key"))
    expect(hex(id.subarray(0, 4))).toBe(example("key id"))
    const signature = Buffer.concat([bytes("key id"), sign(null, Buffer.from(text), key)]).toString("base64")
    expect(`${text}\n\u2014 healthcrypt/${example("practice")} ${signature}\n`).toBe(note())
  })
})

describe("docs/formats/log.md, tiles", () => {
  const data = () => [0, 1, 2, 3, 4].map((i) => (i === 3 ? bytes("leaf data") : new Uint8Array(64).fill(i)))
  const bundle = () => Buffer.concat(data().flatMap((leaf) => [Buffer.of(0, 64), leaf]))
  const tile = () => Buffer.concat([0, 1, 2, 3, 4].map((i) => bytes(`node 0/${i}`)))

  it("have these bytes", () => {
    expect([bundle().length, hex(sha256(bundle()))]).toEqual([Number(example("bundle bytes")), example("bundle hash")])
    expect([tile().length, hex(sha256(tile()))]).toEqual([Number(example("tile bytes")), example("tile hash")])
    expect(hex(bundle().subarray(3 * 66, 4 * 66))).toBe(example("bundle entry 3"))
  })

  it("are asked for and read as they stand there", async () => {
    const asked: string[] = []
    const send = async ({ path }: { path: string }) => {
      asked.push(path)
      return { status: 200, body: new Uint8Array(path.includes("entries") ? bundle() : tile()) }
    }
    for await (const leaves of fetchLeaves(send, 0, 5)) expect(hex(leaves.data)).toBe(hex(Buffer.concat(data())))
    for await (const hashes of fetchHashes(send, 0, 5)) expect(hex(hashes)).toBe(hex(tile()))
    expect(asked).toEqual([example("bundle path"), example("tile path")])
  })

  it("are remembered in this folder", () => {
    expect(folderOf(example("note, line 1"))).toBe(example("monitor folder"))
  })
})

describe("docs/formats/log.md, a cosignature", () => {
  const seconds = () => Date.parse(example("witness time")) / 1000
  const text = () => [1, 2, 3].map((line) => `${example(`note, line ${line}`)}\n`).join("")
  const seed = () =>
    createPrivateKey({
      key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), bytes("witness seed")]),
      format: "der",
      type: "pkcs8",
    })
  const witness = () => ({
    name: example("witness name"),
    type: noteTypes.cosignature,
    publicKey: bytes("witness key"),
  })

  it("is what a witness signs and a monitor verifies", async () => {
    expect(encodeVkey(witness())).toBe(example("witness vkey"))
    expect(parseVkey(example("log vkey"))).toEqual({
      name: example("note, line 1"),
      type: noteTypes.text,
      publicKey: bytes("log key"),
    })
    const message = `${example("message, line 1")}\n${example("message, line 2")}\n${text()}`
    expect(Buffer.from(cosignatureMessage(text(), seconds())).toString()).toBe(message)
    const line = await signCosignature(
      witness(),
      text(),
      seconds(),
      (bytes) => new Uint8Array(sign(null, bytes, seed())),
    )
    expect(line).toBe(`${example("cosignature")}\n`)
    expect(await verifyCosignature(witness(), note() + line)).toBe(seconds())
  })

  it("comes out of a second implementation, written from the page alone", () => {
    const jwk = createPublicKey(seed()).export({ format: "jwk" })
    expect(Buffer.from(String(jwk.x), "base64url").toString("hex")).toBe(example("witness key"))
    const name = Buffer.from(example("witness name"))
    const id = sha256(name, Buffer.of(0x0a, 0x04), bytes("witness key")).subarray(0, 4)
    expect(hex(id)).toBe(example("witness key id"))
    const time = Buffer.alloc(8)
    time.writeBigUInt64BE(BigInt(seconds()))
    expect(hex(time)).toBe(example("time bytes"))
    const message = Buffer.from(`cosignature/v1\ntime ${seconds()}\n${text()}`)
    const base64 = Buffer.concat([id, time, sign(null, message, seed())]).toString("base64")
    expect(`\u2014 ${example("witness name")} ${base64}`).toBe(example("cosignature"))
    const origin = sha256(Buffer.from(example("note, line 1")))
    expect(`/${hex(origin)}/checkpoint`).toBe(example("checkpoint path"))
  })
})

describe("docs/formats/log.md, a stretch of leaves", () => {
  const data = (i: number) => (i === 3 ? bytes("leaf data") : new Uint8Array(64).fill(i))
  const hashes = (name: string) => (example(name).match(/.{64}/g) ?? []).map((hash) => Buffer.from(hash, "hex"))
  const stretch = () => ({
    from: Number(example("stretch from")),
    to: Number(example("stretch to")),
    data: new Uint8Array(Buffer.concat([data(1), data(2)])),
    left: hashes("stretch left"),
    right: hashes("stretch right"),
  })
  const tree = () => ({ size: 5, root: bytes("root") })

  it("is this tree's, and tells the root of an earlier one", () => {
    const roots = verifyStretch(stretch(), tree(), new Set([3]))
    expect(hex(roots.get(3)!)).toBe(example("root of 3"))
  })

  it("leads to both roots in a second implementation, written from the page alone", () => {
    const leaf = (i: number) => sha256(Buffer.of(0), data(i))
    const node = (left: Uint8Array, right: Uint8Array) => sha256(Buffer.of(1), left, right)
    const [first] = hashes("stretch left")
    const [fourth, fifth] = hashes("stretch right")
    const two = node(first!, leaf(1))
    expect(hex(node(two, leaf(2)))).toBe(example("root of 3"))
    expect(hex(node(node(two, node(leaf(2), fourth!)), fifth!))).toBe(example("root"))
  })

  it.each(["data", "left", "right"] as const)("with other %s is refused", (part) => {
    const given = stretch()
    const [first] = [given[part]].flat()
    first![0]! ^= 1
    expect(() => verifyStretch(given, tree())).toThrow(expect.objectContaining({ code: "TAMPERED_LOG" }))
  })
})
