import { createPrivateKey, createPublicKey, randomBytes, sign } from "node:crypto"
import { sha256 } from "#sha256"
import { encodeBase64url } from "../../encoding/base64.ts"
import { compare } from "../../encoding/bytes.ts"
import {
  type Id,
  idBytes,
  newId,
  type PhysicianId,
  type RecordId,
  type SegmentId,
  type SessionId,
} from "../../encoding/ids.ts"
import { type AccountItem, type AccountKind, encodeAccount, parseAccount } from "../../proof/account-statement.ts"
import { type ChainHead, extendChain } from "../../proof/chain.ts"
import { type EntryStatement, encodeEntry, type Member, type Role } from "../../proof/entry.ts"
import { encodeIdentity, fingerprintOf } from "../../proof/identity.ts"
import { asSealKey } from "../../proof/seal-key.fixture.ts"
import { type SignatureLabel, signedBytes } from "../../proof/signature.ts"
import { type Signed, statementHash } from "../../proof/statement.ts"
import { longestMs } from "../sessions.ts"
import type { NewSession, SignedToken, Store } from "../store/store.ts"

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
  #keyring = { number: 0, token: randomBytes(345) as Uint8Array }

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
        profile: this.#signToken("profile", this.id, 0, randomBytes(345)),
        keyring: this.#signToken("keyring", this.id, 0, this.#keyring.token),
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
    const number = this.#keyring.number + 1
    const prev = sha256(this.#keyring.token)
    this.#keyring = { number, token: randomBytes(345) }
    const signed = this.#signToken("keyring", this.id, number, this.#keyring.token, prev)
    await this.#store.putKeyring({ ...signed, physician: this.id, number, prev, stays: new Set(), since: 0 })
  }

  async putProfile(): Promise<void> {
    const { number, token } = (await this.#store.account(this.id)).profile
    const prev = sha256(token)
    const signed = this.#signToken("profile", this.id, number + 1, randomBytes(345), prev)
    await this.#store.putProfile({ ...signed, physician: this.id, number: number + 1, prev })
  }

  async putSegment(): Promise<void> {
    const id = newId() as SegmentId
    await this.#store.putSegment(this.id, { id, ...this.#signToken("segments", id, 0, randomBytes(500)) })
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
    await this.#putSelfGrants(
      Array.from({ length: epoch + 1 }, (_, number) => ({ subject: record, number, token: randomBytes(100) })),
    )
    await this.#store.recordAct(this.id, this.#session.id, record, "read")
  }

  /** Seals a record key to themself again, in the place of the one that is there. */
  async replaceSelfGrant(record: RecordId): Promise<void> {
    const [token = new Uint8Array(0)] = await this.#store.selfGrants(this.id, record, 0)
    await this.#putSelfGrants([{ subject: record, number: 0, prev: sha256(token), token: randomBytes(100) }])
  }

  async #putSelfGrants(grants: readonly (Omit<AccountItem, "hash"> & { readonly token: Uint8Array })[]): Promise<void> {
    const items = grants.map(({ token, ...item }) => ({ ...item, hash: sha256(token) }))
    const signed = this.#signItems("self-grants", items)
    const account = { ...parseAccount(signed.statement), statementHash: statementHash(signed.statement) }
    await this.#store.putSelfGrants(this.id, { account, signed, tokens: grants.map(({ token }) => token) })
  }

  #signToken(what: AccountKind, subject: Id, number: number, token: Uint8Array, prev?: Uint8Array): SignedToken {
    return { token, signed: this.#signItems(what, [{ subject, number, prev, hash: sha256(token) }]) }
  }

  #signItems(what: AccountKind, items: AccountItem[]): Signed {
    const about = { v: 1, suite: "F1", physician: this.id, identity: 0 } as const
    return this.#sign("account", encodeAccount({ ...about, what, items, time: Date.now() }))
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
    const hash = () => encodeBase64url(sha256(randomBytes(32)))
    return {
      id: newId() as SessionId,
      physician: this.id,
      tokenHash: hash(),
      pageHash: hash(),
      half: randomBytes(32),
      carrier: "cookie",
      created: now,
      expires: now + longestMs,
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
