import { createPrivateKey, createPublicKey, randomBytes, sign } from "node:crypto"
import { sha256 } from "#sha256"
import { encodeBase64url } from "../../encoding/base64.ts"
import { newId, type PhysicianId, type RecordId, type SegmentId, type SessionId } from "../../encoding/ids.ts"
import { type ChainHead, extendChain } from "../../proof/chain.ts"
import { encodeEntry } from "../../proof/entry.ts"
import { encodeIdentity, fingerprintOf } from "../../proof/identity.ts"
import { type SignatureLabel, signedBytes } from "../../proof/signature.ts"
import { type Signed, statementHash } from "../../proof/statement.ts"
import type { NewSession, Store } from "../store/store.ts"

/** A physician whose tokens are random bytes: the server cannot tell. For tests. */
export class TestPhysician {
  readonly id = newId() as PhysicianId
  readonly #store: Store
  readonly #username: string
  readonly #key = randomBytes(32)
  readonly #sealKey = randomBytes(1216)
  readonly #session: NewSession
  readonly #unlocks = ["password", "recovery"].map((method) => ({ method, generation: 0, token: randomBytes(100) }))
  #identity: Uint8Array | null = null
  #keyring = 0

  constructor(store: Store, username: string) {
    this.#store = store
    this.#username = username
    this.#session = this.#newSession()
  }

  async register(): Promise<void> {
    await this.#store.register(
      {
        physician: this.id,
        username: this.#username,
        opaqueRecord: randomBytes(192).toString("base64url"),
        identity: this.#signIdentity(0),
        unlocks: this.#unlocks,
        recoveryKey: randomBytes(32),
        profile: randomBytes(345),
        keyring: randomBytes(345),
      },
      this.#session,
    )
  }

  async replaceRecovery(): Promise<void> {
    const seal = { method: "recovery", generation: 1, token: randomBytes(100) }
    this.#unlocks[1] = seal
    await this.#store.replaceUnlocks({
      physician: this.id,
      identity: this.#signIdentity(1),
      seq: 1,
      recovery: { recoveryKey: randomBytes(32), seal },
      session: this.#session.id,
      since: 0,
    })
  }

  async putKeyring(): Promise<void> {
    await this.#store.putKeyring(this.id, ++this.#keyring, randomBytes(345), 0)
  }

  async putSegment(): Promise<void> {
    await this.#store.putSegment(this.id, { id: newId() as SegmentId, token: randomBytes(500) })
  }

  async signInAgain(): Promise<void> {
    await this.#store.startSession(this.#newSession(), "sign-in")
  }

  /** Opens a record and writes to it. @returns its id */
  async writeRecord(entries: number): Promise<RecordId> {
    const record = newId() as RecordId
    let head: ChainHead | null = null
    for (let seq = 0; seq < entries; seq++) head = await this.#append(record, head)
    await this.#store.recordAct(this.id, this.#session.id, record, "read")
    return record
  }

  async #append(record: RecordId, before: ChainHead | null): Promise<ChainHead> {
    const body = randomBytes(345)
    const summary = randomBytes(345)
    const { size, root } = this.#store.treeHead()
    const fingerprint = fingerprintOf(this.id, publicKey(this.#key), this.#sealKey)
    const statement = encodeEntry({
      v: 1,
      suite: "F1",
      record,
      seq: before === null ? 0 : before.seq + 1,
      epoch: 0,
      kind: before === null ? "open" : "write",
      author: this.id,
      time: Date.now(),
      seen: { size, root },
      body: { hash: sha256(body), size: body.length },
      summary: { hash: sha256(summary), size: summary.length },
      ...(before && { prev: before.hash }),
      ...(before === null && {
        members: [{ physician: this.id, fingerprint, role: "owner" as const }],
        keyCommit: randomBytes(32),
      }),
    })
    const signed = this.#sign("entry", statement)
    const keys = { signKey: publicKey(this.#key), sealKey: this.#sealKey }
    const link = await extendChain(before, record, signed, size, () => keys)
    const selfGrant = before === null ? randomBytes(100) : undefined
    const receipt = await this.#store.append({
      ...link,
      before,
      signed,
      body,
      summary,
      selfGrant,
      grants: [],
      since: 0,
    })
    return { ...link.head, leaf: receipt.leaf.index }
  }

  #signIdentity(seq: number): Signed {
    const statement = encodeIdentity({
      v: 1,
      suite: "F1",
      physician: this.id,
      seq,
      username: this.#username,
      signKey: publicKey(this.#key),
      sealKey: this.#sealKey,
      unlocks: this.#unlocks.map(({ method, generation, token }) => ({ method, generation, hash: sha256(token) })),
      time: Date.now(),
      ...(this.#identity && { prev: statementHash(this.#identity) }),
    })
    this.#identity = statement
    return this.#sign("identity", statement)
  }

  #newSession(): NewSession {
    const now = Date.now()
    const tokenHash = encodeBase64url(sha256(randomBytes(32)))
    return {
      id: newId() as SessionId,
      physician: this.id,
      tokenHash,
      half: randomBytes(32),
      carrier: "cookie",
      created: now,
      expires: now + 3_600_000,
    }
  }

  #sign(label: SignatureLabel, statement: Uint8Array): Signed {
    return { statement, signature: sign(null, signedBytes(label, statement), privateKey(this.#key)) }
  }
}

function privateKey(seed: Uint8Array) {
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed])
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" })
}

function publicKey(seed: Uint8Array): Uint8Array {
  return createPublicKey(privateKey(seed)).export({ format: "der", type: "spki" }).subarray(-32)
}
