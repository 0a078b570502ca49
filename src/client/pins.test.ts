import { describe, expect, it } from "vitest"
import { sha256 } from "#sha256"
import { utf8 } from "../encoding/bytes.ts"
import { encodeCbor } from "../encoding/cbor.ts"
import { idFromBytes, newId, type PhysicianId, type PracticeId, type RecordId } from "../encoding/ids.ts"
import { newSecretKey } from "../vault/keys.ts"
import { cachePlace } from "../vault/places.ts"
import { seal } from "../vault/seal.ts"
import { Pins } from "./pins.ts"
import { memoryStorage } from "./storage.fixture.ts"

const practice = idFromBytes<"practice">(new Uint8Array(16)) as PracticeId
const physician = idFromBytes<"physician">(new Uint8Array(16).fill(1)) as PhysicianId
const key = newSecretKey<"physician">()
const record = newId<"record">() as RecordId
const hash = (n: number) => new Uint8Array(32).fill(n)
const tree = (size: number) => ({ size, root: hash(size) })
const chain = (...names: string[]) => names.map((name) => ({ statement: utf8(name), signature: new Uint8Array(64) }))
const rollback = expect.objectContaining({ code: "TAMPERED_ROLLBACK" })
const load = (storage: ReturnType<typeof memoryStorage>, by = key) => Pins.load(storage, by, practice, physician)

describe("pins", () => {
  it("come back from storage, on the same device", async () => {
    const storage = memoryStorage()
    const pins = await load(storage)
    expect(pins.tree.size).toBe(0)
    pins.moveTree(tree(5))
    pins.addIdentity({ seq: 2, hash: sha256(utf8("identity 2")) })
    pins.keyring = 7
    pins.heads.set(record, { seq: 3, hash: hash(9), leaf: 7 })
    await pins.save()
    const again = await load(storage)
    expect(again.tree).toEqual(tree(5))
    expect([again.keyring, again.device]).toEqual([7, pins.device])
    expect([...again.heads]).toEqual([[record, { seq: 3, hash: hash(9), leaf: 7 }]])
  })

  it("come back, however much they hold", async () => {
    const storage = memoryStorage()
    const pins = await load(storage)
    // The smallest of all things that there can be many of: 200,000 heads are as many items.
    pins.renew = new Array<string>(1_100_000).fill("")
    await pins.save()
    expect((await load(storage)).renew).toHaveLength(1_100_000)
  })

  it("of a newer version are neither read nor overwritten", async () => {
    const storage = memoryStorage()
    const pins = await load(storage)
    await pins.save()
    const name = `pins/${practice}/${physician}`
    const newer = await seal(key, cachePlace(physician, pins.device, "pins"), encodeCbor({ v: 99, other: "fields" }))
    await storage.put(name, newer)
    const update = expect.objectContaining({ code: "UNAVAILABLE_UPDATE" })
    await expect(load(storage)).rejects.toEqual(update)
    await expect(pins.save()).rejects.toEqual(update)
    expect(await storage.get(name)).toEqual(newer)
  })

  it("only grow: a smaller tree is not taken", async () => {
    const pins = await load(memoryStorage())
    pins.moveTree(tree(5))
    pins.moveTree(tree(4))
    expect(pins.tree).toEqual(tree(5))
  })

  it("demand that the own identity goes on from the one that was seen", async () => {
    const pins = await load(memoryStorage())
    pins.moveIdentity(chain("identity 0", "identity 1"))
    pins.moveIdentity(chain("identity 0", "identity 1", "identity 2"))
    expect(() => pins.moveIdentity(chain("identity 0", "identity 1"))).toThrow(rollback)
    expect(() => pins.moveIdentity(chain("identity 0", "identity 1", "other", "more"))).toThrow(rollback)
  })

  it("say so when two tabs have seen two heads of one number", async () => {
    const storage = memoryStorage()
    const [one, other] = [await load(storage), await load(storage)]
    one.heads.set(record, { seq: 4, hash: hash(4), leaf: 7 })
    other.heads.set(record, { seq: 4, hash: hash(5), leaf: 7 })
    await one.save()
    await expect(other.save()).rejects.toMatchObject({ code: "TAMPERED_FORK" })
  })

  it("join what two tabs saw: the higher numbers, the newer heads, and the other's tree as one still to be proved", async () => {
    const storage = memoryStorage()
    const [one, other] = [await load(storage), await load(storage)]
    const second = newId<"record">() as RecordId
    one.moveTree(tree(5))
    one.keyring = 3
    one.heads.set(record, { seq: 4, hash: hash(4), leaf: 7 })
    other.moveTree(tree(9))
    other.addIdentity({ seq: 1, hash: sha256(utf8("identity 1")) })
    other.heads.set(record, { seq: 2, hash: hash(2), leaf: 7 })
    other.heads.set(second, { seq: 0, hash: hash(0), leaf: 7 })
    await one.save()
    await other.save()
    const joined = await load(storage)
    expect(joined.tree).toEqual(tree(9))
    expect(joined.others).toEqual([tree(5)])
    expect(joined.keyring).toBe(3)
    expect(() => joined.moveIdentity(chain("identity 0"))).toThrow(rollback)
    expect(joined.heads.get(record)).toEqual({ seq: 4, hash: hash(4), leaf: 7 })
    expect(joined.heads.has(second)).toBe(true)
  })

  it("let go of heads that the roster covers, and of no others", async () => {
    const storage = memoryStorage()
    const pins = await load(storage)
    const second = newId<"record">() as RecordId
    pins.heads.set(record, { seq: 4, hash: hash(4), leaf: 7 })
    pins.heads.set(second, { seq: 0, hash: hash(0), leaf: 7 })
    await pins.save((id, seq) => id === record && seq <= 4)
    expect([...(await load(storage)).heads.keys()]).toEqual([second])
  })

  it("are sealed, and never thrown away because they do not open", async () => {
    const stored = new Map<string, Uint8Array>()
    const storage = memoryStorage(stored)
    const pins = await load(storage)
    pins.heads.set(record, { seq: 4, hash: hash(4), leaf: 7 })
    await pins.save()
    const name = `pins/${practice}/${physician}`
    expect(Buffer.from(stored.get(name)!).includes(record)).toBe(false)
    await expect(load(storage, newSecretKey<"physician">())).rejects.toMatchObject({ code: "CANNOT_OPEN" })
    const token = stored.get(name)!
    stored.set(name, token.with(40, token[40]! ^ 1))
    await expect(load(storage)).rejects.toMatchObject({ code: "CANNOT_OPEN" })
    await expect(pins.save()).rejects.toMatchObject({ code: "CANNOT_OPEN" })
    expect(stored.get(name)).toHaveLength(token.length)
  })
})
