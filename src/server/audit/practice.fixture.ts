import { createPrivateKey, createPublicKey, randomBytes, sign } from "node:crypto"
import { sha256 } from "#sha256"
import { encodeBase64url } from "../../encoding/base64.ts"
import { compare } from "../../encoding/bytes.ts"
import { idBytes, newId, type PhysicianId, type RecordId, type SegmentId, type SessionId } from "../../encoding/ids.ts"
import { type ChainHead, extendChain } from "../../proof/chain.ts"
import { type EntryStatement, encodeEntry, type Member, type Role } from "../../proof/entry.ts"
import { encodeIdentity, fingerprintOf } from "../../proof/identity.ts"
import { asSealKey } from "../../proof/seal-key.fixture.ts"
import { type SignatureLabel, signedBytes } from "../../proof/signature.ts"
import { type Signed, statementHash } from "../../proof/statement.ts"
import type { NewSession, Store } from "../store/store.ts"

/** A physician whose tokens are random bytes: the server cannot tell. For tests. */
export class TestPhysician {
  readonly id = newId() as PhysicianId
  readonly #store: Store
  readonly #username: string
  readonly #key = randomBytes(32)
  readonly #sealKey = asSealKey(randomBytes(1216))
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

  /** Invites a colleague to a record of one's own, or changes their role. */
  async share(record: RecordId, colleague: TestPhysician, role: Role): Promise<void> {
    const { members, epoch } = await this.#headOf(record)
    const others = members.filter((member) => member.physician !== colleague.id)
    const known = others.length < members.length
    const list = [...others, colleague.#asMember(role)]
    await this.#changeMembers(record, list, { epoch, grantTo: known ? [] : [colleague.id] })
  }

  /** Removes a colleague, under a new epoch. */
  async unshare(record: RecordId, colleague: TestPhysician): Promise<void> {
    const { members, epoch } = await this.#headOf(record)
    const list = members.filter((member) => member.physician !== colleague.id)
    const others = list.map((member) => member.physician).filter((id) => id !== this.id)
    await this.#changeMembers(record, list, { epoch: epoch + 1, grantTo: others })
  }

  async leave(record: RecordId): Promise<void> {
    const { members, epoch } = await this.#headOf(record)
    const list = members.filter((member) => member.physician !== this.id)
    await this.#changeMembers(record, list, { epoch, grantTo: [] })
  }

  async accept(record: RecordId): Promise<void> {
    const { epoch } = await this.#headOf(record)
    const selfGrants = Array.from({ length: epoch + 1 }, (_, i) => ({ epoch: i, token: randomBytes(100) }))
    await this.#store.putSelfGrants(this.id, [{ record, selfGrants }])
    await this.#store.recordAct(this.id, this.#session.id, record, "read")
  }

  async endSession(): Promise<void> {
    const session = this.#newSession()
    await this.#store.startSession(session, "recover")
    await this.#store.endSessionOf(this.id, session.id)
  }

  async #headOf(record: RecordId): Promise<ChainHead> {
    const head = await this.#store.chainHead(record)
    if (head === null) throw new Error("no such record")
    return head
  }

  #asMember(role: Role): Member {
    return { physician: this.id, fingerprint: fingerprintOf(this.id, publicKey(this.#key), this.#sealKey), role }
  }

  async #changeMembers(
    record: RecordId,
    members: readonly Member[],
    { epoch, grantTo }: { readonly epoch: number; readonly grantTo: readonly PhysicianId[] },
  ): Promise<void> {
    const before = await this.#headOf(record)
    const raised = epoch > before.epoch
    const summary = raised ? randomBytes(345) : undefined
    const grants = grantTo.map((recipient) => ({ recipient, grant: randomBytes(1200) }))
    const statement = this.#nextStatement(record, before, {
      epoch,
      kind: "members",
      members: members.toSorted((a, b) => compare(idBytes(a.physician), idBytes(b.physician))),
      ...(summary && { summary: { hash: sha256(summary), size: summary.length }, keyCommit: randomBytes(32) }),
      ...(grants.length > 0 && {
        grants: grants.map(({ recipient, grant }) => ({ recipient, hash: sha256(grant) })),
      }),
    })
    await this.#store.append({
      ...(await this.#link(record, before, statement)),
      body: undefined,
      summary,
      selfGrant: raised ? randomBytes(100) : undefined,
      grants,
    })
  }

  async #append(record: RecordId, before: ChainHead | null): Promise<ChainHead> {
    const body = randomBytes(345)
    const summary = randomBytes(345)
    const statement = this.#nextStatement(record, before, {
      epoch: before?.epoch ?? 0,
      kind: before === null ? "open" : "write",
      body: { hash: sha256(body), size: body.length },
      summary: { hash: sha256(summary), size: summary.length },
      ...(before === null && { members: [this.#asMember("owner")], keyCommit: randomBytes(32) }),
    })
    const link = await this.#link(record, before, statement)
    const selfGrant = before === null ? randomBytes(100) : undefined
    const receipt = await this.#store.append({ ...link, body, summary, selfGrant, grants: [] })
    return { ...link.head, leaf: receipt.leaf.index }
  }

  #nextStatement(
    record: RecordId,
    before: ChainHead | null,
    says: Pick<EntryStatement, "epoch" | "kind"> & Partial<EntryStatement>,
  ): Uint8Array {
    const { size, root } = this.#store.treeHead()
    return encodeEntry({
      v: 1,
      suite: "F1",
      record,
      seq: before === null ? 0 : before.seq + 1,
      author: this.id,
      time: Date.now(),
      seen: { size, root },
      ...(before && { prev: before.hash }),
      ...says,
    })
  }

  async #link(record: RecordId, before: ChainHead | null, statement: Uint8Array) {
    const signed = this.#sign("entry", statement)
    const keys = { signKey: publicKey(this.#key), sealKey: this.#sealKey }
    const link = await extendChain(before, record, signed, this.#store.treeHead().size, () => keys)
    return { ...link, before, signed, since: 0 }
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
