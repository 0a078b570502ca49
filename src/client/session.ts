import { sha256 } from "#sha256"
import { equal, parseUtf8, utf8 } from "../encoding/bytes.ts"
import type { Id, PhysicianId, RecordId, SessionId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { sameTree, type TreeHead } from "../proof/checkpoint.ts"
import { type Identity, verifyIdentityChain } from "../proof/identity.ts"
import { type Leaf, leafData } from "../proof/leaf.ts"
import { emptyRoot } from "../proof/merkle.ts"
import { type AccountReply, getKeyring, type PracticeReply, putKeyring } from "../protocol/accounts.ts"
import type { LeafInfo, Receipt } from "../protocol/log.ts"
import { paths } from "../protocol/paths.ts"
import { readChanges, readPrefixes } from "../protocol/records.ts"
import { type Keyring, openKeyring, sealKeyring } from "../vault/keyring.ts"
import { asSecretKey, deriveUnlockKey, type PhysicianKey, type SessionHalf, wipe } from "../vault/keys.ts"
import { profilePlace, unlockPlace } from "../vault/places.ts"
import { open } from "../vault/seal.ts"
import { importSigner, type Signer } from "../vault/signer.ts"
import type { ActivityEnd } from "./activity.ts"
import { LogView } from "./log.ts"
import { People } from "./people.ts"
import { Pins } from "./pins.ts"
import type { ClientStorage } from "./storage.ts"
import { resend, type Transport } from "./transport.ts"

export interface Surroundings {
  readonly transport: Transport
  readonly storage: ClientStorage
  /** A program carries its session as a bearer token, a browser as a cookie. */
  readonly carrier: "cookie" | "bearer"
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** What this device is called in the physician's list of devices, such as "Firefox on Linux"; left out, it is not listed. */
  readonly deviceLabel?: string
}

type SessionParts = Pick<
  Session,
  | "around"
  | "id"
  | "half"
  | "practice"
  | "physician"
  | "username"
  | "firstName"
  | "lastName"
  | "key"
  | "signer"
  | "pins"
  | "log"
  | "identity"
  | "keyring"
  | "keyringNumber"
>

/** How many leaves a keyring's copy of the pins may lag before a session's end saves it: each save is a leaf itself. */
const pinLag = 64
const devicesAtMost = 100

/** A physician who is signed in: keys in memory, and what has been verified. */
export class Session {
  readonly around: Surroundings
  id: SessionId
  /** What a browser seals the physician key under between reloads; a program has none. */
  half: SessionHalf | null
  readonly practice: PracticeReply
  readonly physician: PhysicianId
  readonly username: string
  readonly firstName: string
  readonly lastName: string
  readonly key: PhysicianKey
  readonly signer: Signer
  readonly pins: Pins
  readonly log: LogView
  /** Everybody else. */
  readonly people: People
  readonly activity = new Map<Id, ActivityEnd>()
  identity: Identity
  keyring: Keyring
  keyringNumber: number
  /** What the log has to say of the keyrings that this session has stood on, by number. */
  readonly #keyringLeaves = new Map<number, { readonly info: LeafInfo; readonly hash: Uint8Array }>()
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(parts: SessionParts, { leaf, token }: AccountReply["keyring"]) {
    this.around = parts.around
    this.id = parts.id
    this.half = parts.half
    this.practice = parts.practice
    this.physician = parts.physician
    this.username = parts.username
    this.firstName = parts.firstName
    this.lastName = parts.lastName
    this.key = parts.key
    this.signer = parts.signer
    this.pins = parts.pins
    this.log = parts.log
    this.identity = parts.identity
    this.keyring = parts.keyring
    this.keyringNumber = parts.keyringNumber
    this.#keyringLeaves.set(parts.keyringNumber, { info: leaf, hash: sha256(token) })
    this.people = new People(this)
  }

  get fullName(): string {
    return [this.firstName, this.lastName].filter((part) => part !== "").join(" ")
  }

  /** Checks all that the server says of an account against itself, the keyring and the pins, and stands up a session on it.
   * @throws TAMPERED_PRACTICE, TAMPERED_IDENTITY, TAMPERED_ROLLBACK, TAMPERED_FORK, CANNOT_OPEN */
  static async stand(
    around: Surroundings,
    practice: PracticeReply,
    account: AccountReply,
    key: PhysicianKey,
  ): Promise<Session> {
    const { physician, username } = account
    const identity = await verifyAccountIdentity(account)
    const keyring = await openKeyring(key, physician, account.keyring.number, account.keyring.token)
    demandPractice(keyring, practice)
    const signer = await importSigner(asSecretKey(keyring.signSeed))
    if (!equal(signer.publicKey, identity.signKey) || !equal(keyring.sealKey, identity.sealKey))
      throw new AppError("TAMPERED_IDENTITY")
    const pins = await Pins.load(around.storage, key, practice.practice, physician)
    if (identity.seq < keyring.seen.identity || account.keyring.number < pins.keyring)
      throw new AppError("TAMPERED_ROLLBACK")
    pins.moveIdentity(account.identity)
    pins.keyring = account.keyring.number
    const log = new LogView(practice, pins)
    const profile = JSON.parse(
      parseUtf8(await open(key, profilePlace(physician, account.profile.number), account.profile.token)),
    )
    const parts: SessionParts = {
      around,
      id: account.session.id,
      half: halfOf(account.session),
      practice,
      physician,
      username,
      firstName: String(profile.firstName),
      lastName: String(profile.lastName),
      key,
      signer,
      pins,
      log,
      identity,
      keyring,
      keyringNumber: account.keyring.number,
    }
    const session = new Session(parts, account.keyring)
    around.transport.session = session.id
    await advance(session, [...pins.others, keyring.seen])
    pins.others = []
    return session
  }

  /** Changes the keyring: compare-and-swap on its number; the loser reads the winner's and changes that. One at a time.
   * @returns the index of its leaf. */
  updateKeyring(change: (keyring: Keyring) => Keyring): Promise<number> {
    const run = () => this.#updateKeyring(change)
    const next = this.#turn.then(run, run)
    this.#turn = next.catch(() => {})
    return next
  }

  async #updateKeyring(change: (keyring: Keyring) => Keyring): Promise<number> {
    for (let attempt = 0; ; attempt++) {
      const number = this.keyringNumber + 1
      const { size, root } = this.pins.tree
      const keyring = { ...this.#withNews(change(this.keyring)), seen: { size, root, identity: this.identity.seq } }
      const token = await sealKeyring(this.key, this.physician, number, keyring)
      try {
        const { answer, tree } = await this.log.exchange(
          (from) => {
            const json = putKeyring.body.encode({ number, token, since: from.size })
            return resend(() => this.around.transport.call("PUT", paths.keyring, { json, reply: putKeyring.reply }))
          },
          (receipt) => receipt.log,
        )
        const about = { subject: this.physician, actor: this.physician, stream: "keyring", type: "keyring" } as const
        this.log.checkReceipt(answer, { ...about, number, statementHash: sha256(token) }, tree)
        this.keyring = keyring
        this.keyringNumber = number
        this.#keyringLeaves.set(number, { info: answer.leaf, hash: sha256(token) })
        this.pins.keyring = number
        return answer.leaf.index
      } catch (error) {
        if (!(error instanceof AppError && error.code === "CONFLICT_KEYRING") || attempt >= 8) throw error
        await this.pullKeyring()
      }
    }
  }

  /** Saves what was learnt and the keyring does not hold yet: names of colleagues, and this device itself. */
  async saveNews(): Promise<void> {
    if (this.people.hasNews || this.#isNewDevice(this.keyring)) await this.updateKeyring((keyring) => keyring)
  }

  #withNews(keyring: Keyring): Keyring {
    const named = this.people.named(keyring)
    if (!this.#isNewDevice(keyring)) return named
    const device = { id: this.pins.device, label: this.around.deviceLabel ?? "", since: this.around.now() }
    // Whoever signs in from ever new devices keeps the newest of them listed.
    return { ...named, devices: [...named.devices, device].slice(-devicesAtMost) }
  }

  #isNewDevice({ devices }: Keyring): boolean {
    return this.around.deviceLabel !== undefined && !devices.some(({ id }) => id === this.pins.device)
  }

  /** Takes in the keyring that another device may have stored, and proves that what that device saw is of the same log.
   * @returns its number. @throws TAMPERED_ROLLBACK, TAMPERED_FORK */
  async pullKeyring(): Promise<number> {
    const asked = this.keyringNumber
    const stored = await this.around.transport.call("GET", paths.keyring, { reply: getKeyring.reply })
    if (stored.number < asked) throw this.log.refuse("TAMPERED_ROLLBACK")
    if (stored.number <= this.keyringNumber) return this.keyringNumber
    const keyring = await openKeyring(this.key, this.physician, stored.number, stored.token)
    demandPractice(keyring, this.practice)
    await advance(this, [keyring.seen])
    // This session itself may have gone on while it asked.
    if (stored.number <= this.keyringNumber) return this.keyringNumber
    this.keyring = keyring
    this.keyringNumber = stored.number
    this.#keyringLeaves.set(stored.number, { info: stored.leaf, hash: sha256(stored.token) })
    this.pins.keyring = stored.number
    return stored.number
  }

  /** Whether a leaf's 64 bytes speak of another keyring than the one that this session stood on under this number. */
  isOtherKeyring(number: number, data: Uint8Array): boolean {
    const known = this.#keyringLeaves.get(number)
    if (known === undefined) return false
    const { physician } = this
    const about = { subject: physician, actor: physician, stream: "keyring", type: "keyring", number } as const
    const { salt, time } = known.info
    return !equal(data, leafData({ ...about, salt, time, statementHash: known.hash }))
  }

  /** Demands that what entries' authors had seen are earlier trees of this log. @param roots that are known already, by size.
   * @throws TAMPERED_FORK */
  proveSeen(seen: readonly TreeHead[], roots: ReadonlyMap<number, Uint8Array> = new Map()): Promise<void> {
    return this.log.proveSeen(seen, roots, async (to, sizes) => {
      const json = readPrefixes.body.encode({ to, sizes: [...sizes] })
      const reply = readPrefixes.reply
      return (await this.around.transport.call("POST", paths.prefixes, { json, reply, background: true })).proofs
    })
  }

  /** Demands that what this client stored is in the log, by a receipt that came before the log was followed.
   * @throws TAMPERED_LOG, TAMPERED_FORK */
  async checkStored(receipt: Receipt, leaf: Omit<Leaf, "salt" | "time">): Promise<void> {
    const tree = await this.log.prove({ size: 0, root: emptyRoot }, receipt.log)
    await advance(this, [tree])
    this.log.checkReceipt(receipt, leaf, tree)
  }

  /** The physician's own next identity, verified, which this device or another has signed. */
  takeIdentity(identity: Identity): void {
    this.identity = identity
    this.pins.addIdentity(identity)
  }

  /** The server gave a fresh session to the same physician. */
  moveTo(session: AccountReply["session"]): void {
    this.id = session.id
    this.around.transport.session = session.id
    this.half = halfOf(session)
  }

  /** Proves what other tabs and processes have seen to be of the same log, and stores what this one has. */
  async remember(covered?: (record: RecordId, seq: number) => boolean): Promise<void> {
    await this.pins.save(covered)
    if (this.pins.others.length === 0) return
    await advance(this, this.pins.others)
    this.pins.others = []
    await this.pins.save(covered)
  }

  /** Saves what was seen, and ends the session on the server. The caller wipes. */
  async end(): Promise<void> {
    if (this.pins.tree.size > this.keyring.seen.size + pinLag) await this.updateKeyring((keyring) => keyring)
    else await this.saveNews()
    await this.pins.save()
    await this.around.transport.call("DELETE", paths.session)
  }

  /** Ends all that still runs for this session before it reaches the server, and overwrites the keys. */
  wipe(): void {
    this.around.transport.close()
    for (const key of [this.key, this.keyring.signSeed, this.keyring.sealSeed, this.half]) if (key !== null) wipe(key)
  }
}

/** Opens the physician key with one way to unlock, which the newest identity has to list.
 * @param secret OPAQUE's export key, or the entropy of the recovery words.
 * @throws TAMPERED_IDENTITY, CANNOT_OPEN */
export async function unlock(account: AccountReply, method: string, secret: Uint8Array): Promise<PhysicianKey> {
  const identity = await verifyAccountIdentity(account)
  const given = account.unlocks.find((item) => item.method === method)
  const listed = identity.unlocks.find((item) => item.method === method)
  if (given === undefined || listed === undefined || given.generation !== listed.generation)
    throw new AppError("TAMPERED_IDENTITY")
  if (!equal(listed.hash, sha256(given.token))) throw new AppError("TAMPERED_IDENTITY")
  const unlockKey = await deriveUnlockKey(secret, account.physician, method, given.generation)
  const place = unlockPlace(account.physician, method, given.generation)
  const key = asSecretKey<"physician">(await open(unlockKey, place, given.token, { exact: true }))
  wipe(unlockKey)
  return key
}

export function encodeProfile(name: { readonly firstName: string; readonly lastName: string }): Uint8Array {
  return utf8(JSON.stringify({ firstName: name.firstName, lastName: name.lastName }))
}

/** What a server gives out as an identity and is no statement at all was tampered with like any other. */
async function verifyAccountIdentity(account: AccountReply): Promise<Identity> {
  const identity = await verifyIdentityChain(account.identity).catch((error: unknown) => {
    const unreadable = error instanceof AppError && error.is("BAD_INPUT")
    throw unreadable ? new AppError("TAMPERED_IDENTITY", undefined, { cause: error }) : error
  })
  if (identity.physician !== account.physician || identity.username !== account.username)
    throw new AppError("TAMPERED_IDENTITY")
  return identity
}

function halfOf(session: AccountReply["session"]): SessionHalf | null {
  return session.half === undefined ? null : asSecretKey(session.half)
}

function demandPractice(keyring: Keyring, practice: PracticeReply): void {
  const known = keyring.practice
  const same =
    known.id === practice.practice &&
    known.origin === practice.origin &&
    equal(known.logKey, practice.logKey) &&
    known.opaqueKey === practice.opaqueKey
  if (!same) throw new AppError("TAMPERED_PRACTICE")
}

/** Moves the log on to the newest, and proves that other trees, which other devices have seen, are of the same log.
 * @throws TAMPERED_FORK, TAMPERED_ROLLBACK */
async function advance(session: Session, others: readonly TreeHead[]): Promise<void> {
  const { pins, log } = session
  const prove = async (tree: TreeHead) => log.prove(tree, (await logSince(session, tree.size)).log)
  const catchUp = () =>
    log.exchange(
      (from) => logSince(session, from.size),
      (answer) => answer.log,
    )
  await catchUp()
  for (const tree of others) {
    // An answer speaks of the tree of its own moment: it counts once that is the tree that this client stands on.
    for (let shown = await prove(tree); !sameTree(shown, pins.tree); shown = await prove(tree)) {
      if (shown.size === pins.tree.size) throw log.refuse("TAMPERED_FORK")
      await catchUp()
    }
  }
}

function logSince(session: Session, size: number) {
  return session.around.transport.call("GET", paths.changes, {
    query: { since: Number.MAX_SAFE_INTEGER, limit: 0, pinned: size },
    reply: readChanges.reply,
    background: true,
  })
}
