import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto"
import { beforeAll, describe, expect, it } from "vitest"
import { context } from "../../src/encoding/context.ts"
import { type Id, idBytes, type PracticeId } from "../../src/encoding/ids.ts"
import { logOrigin, openNote } from "../../src/proof/checkpoint.ts"
import { leafData } from "../../src/proof/leaf.ts"
import { Frontier, leafHash, verifyConsistency, verifyInclusion } from "../../src/proof/merkle.ts"
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
