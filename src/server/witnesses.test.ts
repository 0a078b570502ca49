import { createServer, type IncomingMessage, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { openNote } from "../proof/checkpoint.ts"
import { signCosignature, verifyCosignature } from "../proof/cosignature.ts"
import { emptyRoot, verifyConsistency } from "../proof/merkle.ts"
import { encodeVkey, type NoteKey, noteTypes, splitNote } from "../proof/note.ts"
import { paths } from "../protocol/paths.ts"
import { newAuthor, newSigner, type TestSigner } from "./client.fixture.ts"
import { openTestServer, type TestServer } from "./server.fixture.ts"
import { parseWitnessAddress } from "./witnesses.ts"

/** A witness as its specification has it, with a state that tests set. */
class TestWitness {
  readonly requests: string[] = []
  readonly #signer: TestSigner
  readonly #server: Server
  size = 0
  root: Uint8Array = emptyRoot
  /** Answers in place of the honest one. */
  instead: (() => { status: number; body: string } | null) | null = null
  #gate: Promise<void> = Promise.resolve()

  private constructor(signer: TestSigner) {
    this.#signer = signer
    this.#server = createServer(async (request, response) => {
      const { status, body } = await this.#answer(await textOf(request))
      response.writeHead(status, { "content-type": status === 409 ? "text/x.tlog.size" : "text/plain" }).end(body)
    })
  }

  static async open(): Promise<TestWitness> {
    const witness = new TestWitness(await newSigner())
    await witness.listen(0)
    return witness
  }

  get key(): NoteKey {
    return { name: "witness.example/w1", type: noteTypes.cosignature, publicKey: this.#signer.publicKey }
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve) => this.#server.listen(port, "127.0.0.1", resolve))
  }

  close(): Promise<void> {
    this.#server.closeAllConnections()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  /** Answers nothing more. @returns what lets it */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#gate = promise
    return resolve
  }

  async #answer(text: string): Promise<{ status: number; body: string }> {
    this.requests.push(text)
    await this.#gate
    const [, old, hashes, note] = /^old (\d+)\n((?:\S+\n)*)\n([\s\S]*)$/.exec(text) ?? []
    const [origin, size, root] = note!.split("\n")
    const logKey = (await server.client.send("GET", paths.practice)).json().logKey
    await openNote(note!, origin!, new Uint8Array(Buffer.from(logKey, "base64url")))
    const other = this.instead?.() ?? null
    if (other !== null) return other
    if (Number(old) !== this.size) return { status: 409, body: `${this.size}\n` }
    const proof = hashes!.split("\n").filter(Boolean).map(fromBase64)
    const newRoot = fromBase64(root!)
    if (!verifyConsistency(this.size, this.root, Number(size), newRoot, proof)) return { status: 422, body: "" }
    this.size = Number(size)
    this.root = newRoot
    const { text: signed } = splitNote(note!)!
    return { status: 200, body: await signCosignature(this.key, signed, 1_800_000_000, (m) => this.#signer.sign(m)) }
  }
}

let server: TestServer
let witness: TestWitness

beforeEach(async () => {
  witness = await TestWitness.open()
  const address = parseWitnessAddress(`${encodeVkey(witness.key)}=http://127.0.0.1:${witness.port}/`)!
  server = await openTestServer({ witnesses: [address] })
})
afterEach(async () => {
  await server.close()
  await witness.close().catch(() => {})
})

const checkpoint = async () => (await server.client.send("GET", paths.checkpoint)).body
const cosigned = async () => (await verifyCosignature(witness.key, await checkpoint())) !== null
const grow = async (name: string) => server.client.register(await newAuthor(name), "correct horse battery staple")
const soon = { timeout: 30_000, interval: 50 }
const logged = (word: string) => server.lines.filter((line) => line.includes(word))

describe("a checkpoint", () => {
  test("is served with its cosignature, each new one without until it has its own", async () => {
    expect(witness.requests).toEqual([])
    let release = witness.hold()
    await grow("ada")
    expect(await cosigned()).toBe(false)
    release()
    await expect.poll(cosigned, soon).toBe(true)
    const { origin, size } = await openNote(
      await checkpoint(),
      `healthcrypt/${server.store.practice}`,
      server.signer.publicKey,
    )
    expect([origin, size]).toEqual([`healthcrypt/${server.store.practice}`, 2])
    release = witness.hold()
    await grow("bob")
    expect(await cosigned()).toBe(false)
    release()
    await expect.poll(cosigned, soon).toBe(true)
    expect(witness.requests.map((text) => text.split("\n")[0])).toEqual(["old 0", "old 2"])
    // Nothing new: nobody is asked.
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect(witness.requests).toHaveLength(2)
  })

  test("is proved from where the witness says that it stands", async () => {
    await grow("ada")
    await expect.poll(cosigned, soon).toBe(true)
    const { root } = server.store.treeHead()
    await grow("bob")
    await grow("cyd")
    await expect.poll(cosigned, soon).toBe(true)
    witness.size = 2
    witness.root = root
    await grow("dan")
    await expect.poll(cosigned, soon).toBe(true)
    const [again, proved] = witness.requests.slice(-2).map((text) => text.split("\n")[0])
    expect([again, proved]).toEqual(["old 6", "old 2"])
  })
})

describe("a witness", () => {
  test("that does not answer delays nothing", async () => {
    const release = witness.hold()
    await grow("ada")
    await expect.poll(() => witness.requests.length, soon).toBe(1)
    await grow("bob")
    expect(await checkpoint()).toBe(server.store.treeHead().note)
    release()
    await expect.poll(cosigned, soon).toBe(true)
  })

  test("that is down is named in the log once, and is asked again", async () => {
    const { port } = witness
    await witness.close()
    await grow("ada")
    await expect.poll(() => logged("not cosigned").length, soon).toBe(1)
    expect(JSON.parse(logged("not cosigned")[0]!)).toMatchObject({
      witness: "witness.example/w1",
      trouble: "it cannot be reached: ECONNREFUSED",
    })
    await witness.listen(port)
    await expect.poll(cosigned, soon).toBe(true)
    expect([logged("not cosigned").length, logged("cosigning again").length]).toEqual([1, 1])
  })

  test.each([
    ["refuses", () => ({ status: 422, body: "" }), "it answered 422"],
    [
      "is ahead of the log",
      () => ({ status: 409, body: "1000\n" }),
      "it has cosigned 1000 leaves of this log, which has 2",
    ],
    ["names no size", () => ({ status: 409, body: "many\n" }), "it answered 409 and no size"],
    ["signs nothing", () => ({ status: 200, body: "" }), "its cosignature does not verify"],
    ["talks without end", () => ({ status: 200, body: "x".repeat(20_000) }), "its answer is too long"],
  ])("that %s leaves the checkpoint as it is", async (_what, instead, trouble) => {
    witness.instead = instead
    await grow("ada")
    await expect.poll(() => logged("not cosigned").length, soon).toBe(1)
    expect(JSON.parse(logged("not cosigned")[0]!)).toMatchObject({ trouble })
    expect(await checkpoint()).toBe(server.store.treeHead().note)
  })

  test("that signs another checkpoint, or under another key, is not served", async () => {
    const other = await newSigner()
    await grow("ada")
    const { text } = splitNote(server.store.treeHead().note)!
    const elsewhere = await signCosignature(witness.key, text.replace("\n2\n", "\n3\n"), 1, (m) => other.sign(m))
    const stranger = await signCosignature({ ...witness.key, publicKey: other.publicKey }, text, 1, (m) =>
      other.sign(m),
    )
    witness.instead = () => ({ status: 200, body: elsewhere + stranger })
    await expect.poll(() => logged("not cosigned").length, soon).toBe(1)
    expect(await checkpoint()).toBe(server.store.treeHead().note)
  })
})

test("a witness is written as its key, @ and its address", () => {
  const vkey = encodeVkey(witness.key)
  expect(parseWitnessAddress(`${vkey}=https://w.example/log//`)).toMatchObject({
    url: "https://w.example/log",
    key: witness.key,
  })
  const text = encodeVkey({ ...witness.key, type: noteTypes.text })
  for (const wrong of [
    vkey,
    `${vkey}=`,
    `${vkey}=ftp://w.example`,
    `${vkey}@https://w.example`,
    `${text}=https://w.example`,
    `x=https://w.example`,
    "",
  ])
    expect(parseWitnessAddress(wrong)).toBe(null)
})

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"))
}
