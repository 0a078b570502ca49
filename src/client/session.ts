import { sha256 } from "#sha256"
import { equal } from "../encoding/bytes.ts"
import type { Id, PhysicianId, RecordId, SessionId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { sameTree, type TreeHead } from "../proof/checkpoint.ts"
import { type Identity, verifyIdentityChain } from "../proof/identity.ts"
import { type Leaf, leafData } from "../proof/leaf.ts"
import { emptyRoot } from "../proof/merkle.ts"
import { type Signed, statementHash } from "../proof/statement.ts"
import { nextKeyring, sameLog } from "../proof/succession.ts"
import {
  type AccountReply,
  currentSession,
  getKeyring,
  type PracticeReply,
  putKeyring,
  putProfile,
} from "../protocol/accounts.ts"
import type { LeafInfo, Receipt } from "../protocol/log.ts"
import { paths } from "../protocol/paths.ts"
import { readChanges, readPrefixes } from "../protocol/records.ts"
import { type Keyring, openKeyring, sealKeyring } from "../vault/keyring.ts"
import { asSecretKey, deriveUnlockKey, type PhysicianKey, type SessionHalf, wipe } from "../vault/keys.ts"
import { profilePlace, unlockPlace } from "../vault/places.ts"
import { open, seal } from "../vault/seal.ts"
import { importSigner, type Signer } from "../vault/signer.ts"
import {
  encodeProfile,
  keyringItems,
  keysOfChain,
  openProfile,
  type StoredToken,
  signAccount,
  verifyStored,
} from "./account-statements.ts"
import type { ActivityEnd } from "./activity.ts"
import { Kept } from "./kept.ts"
import { type Line, readLine, signedOf } from "./line.ts"
import { LogView } from "./log.ts"
import { People } from "./people.ts"
import { Pins } from "./pins.ts"
import type { Reopened } from "./reopen.ts"
import { demandCode, holdOf, holdToPins, type Restoration } from "./restoration.ts"
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
  | "restoration"
  | "line"
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
  /** The index of the leaf that binds the practice's newest restore; -1 where there was none. */
  readonly restoredAt: number
  /** The restores that led to the log that this session stands on. */
  readonly line: Line
  /** What this device keeps for a restore. */
  readonly kept: Kept
  /** Everybody else. */
  readonly people: People
  readonly activity = new Map<Id, ActivityEnd>()
  /** The server's clock as it said last; 0 before that. Milliseconds since 1970. */
  serverTime = 0
  identity: Identity
  keyring: Keyring
  keyringNumber: number
  /** SHA-256 of the tokens that the server holds: the next ones name them as what they replace. */
  #keyringToken: Uint8Array
  #profile: { readonly number: number; readonly hash: Uint8Array }
  /** Whether version 0.2 stored them, or they were made anew from former ones: then they are signed with the next save. */
  #unsigned: { keyring: boolean; profile: boolean }
  /** The server was put back to an earlier state since this device last saw it; null where it was not. */
  restoration: Restoration | null
  /** What the log has to say of the keyrings that this session has stood on, by number. */
  readonly #keyringLeaves = new Map<number, { readonly info: LeafInfo; readonly hash: Uint8Array }>()
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(
    parts: SessionParts,
    { keyring, profile }: AccountReply,
    { replaces, keyringHash }: Pick<Reopened, "replaces" | "keyringHash">,
  ) {
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
    this.line = parts.line
    this.restoredAt = parts.line.at(-1)?.kept.size ?? -1
    this.kept = new Kept(this)
    this.identity = parts.identity
    this.keyring = parts.keyring
    this.keyringNumber = parts.keyringNumber
    this.#keyringToken = replaces.keyring
    this.#profile = { number: profile.number, hash: replaces.profile }
    this.#unsigned = { keyring: keyring.signed === undefined, profile: profile.signed === undefined }
    if (keyringHash !== null) this.#keyringLeaves.set(parts.keyringNumber, { info: keyring.leaf, hash: keyringHash })
    this.restoration = parts.restoration
    this.people = new People(this)
  }

  get fullName(): string {
    return [this.firstName, this.lastName].filter((part) => part !== "").join(" ")
  }

  /** Checks all that the server says of an account against itself, the keyring and the pins, and stands up a session on it.
   * @param method that opened the key; `null` where the session was there already
   * @param reopened what to stand on where the newest keyring does not open, and the physician has asked for it
   * @throws TAMPERED_PRACTICE, TAMPERED_IDENTITY, TAMPERED_ROLLBACK, TAMPERED_FORK, CANNOT_OPEN */
  static async stand(
    around: Surroundings,
    practice: PracticeReply,
    account: AccountReply,
    key: PhysicianKey,
    method: string | null = null,
    reopened: Reopened | null = null,
  ): Promise<Session> {
    try {
      return await Session.#standOn(around, practice, account, key, reopened)
    } catch (error) {
      if (!(error instanceof AppError && error.code === "TAMPERED_ROLLBACK") || reopened !== null) throw error
      // Another process of this device may have saved a keyring, or replaced a way to unlock, since the server gave this answer.
      const again = await around.transport
        .call("GET", paths.session, { reply: currentSession.reply })
        .catch(() => account)
      const isNewer = again.keyring.number > account.keyring.number || again.identity.length > account.identity.length
      if (!isNewer || again.physician !== account.physician) throw error
      // Two chains of which neither goes on from the other: one of them is not the physician's.
      if (!beginsWith(again.identity, account.identity)) throw new AppError("TAMPERED_IDENTITY")
      // What opened the key may be what was replaced: then it opens nothing any more.
      const generation = async (one: AccountReply) =>
        (await verifyAccountIdentity(one)).unlocks.find((unlock) => unlock.method === method)?.generation
      if (method !== null && (await generation(again)) !== (await generation(account))) throw error
      return Session.#standOn(around, practice, { ...again, session: account.session }, key, null)
    }
  }

  static async #standOn(
    around: Surroundings,
    practice: PracticeReply,
    account: AccountReply,
    key: PhysicianKey,
    reopened: Reopened | null,
  ): Promise<Session> {
    const { physician, username } = account
    const identity = await verifyAccountIdentity(account)
    const { keyring: opened, profile, ...stored } = reopened ?? (await openAccount(account, key))
    const signer = await importSigner(asSecretKey(opened.signSeed))
    if (!equal(signer.publicKey, identity.signKey) || !equal(opened.sealKey, identity.sealKey))
      throw new AppError("TAMPERED_IDENTITY")
    const pins = await Pins.load(around.storage, key, practice.practice, physician)
    const restoration = await holdToPins(around.transport, practice, account, identity, opened, pins)
    const keyring = restoration === null ? inLog(opened, practice, pins, reopened !== null) : opened
    around.transport.hold = holdOf(restoration, pins)
    const log = new LogView(practice, pins)
    const parts: SessionParts = {
      around,
      id: account.session.id,
      half: halfOf(account.session),
      practice,
      physician,
      username,
      ...profile,
      key,
      signer,
      pins,
      log,
      identity,
      keyring,
      keyringNumber: account.keyring.number,
      restoration,
      line: await readLine(pins.line),
    }
    const session = new Session(parts, account, stored)
    if (reopened !== null) session.#unsigned = { keyring: true, profile: true }
    around.transport.session = session.id
    await advance(session, [...pins.others, keyring.seen])
    pins.others = []
    return session
  }

  /** Takes a restored server's log for the practice's from now on, once the physician has typed what whoever restored it told them. The
   * keyring says so to the physician's other devices; what was pinned before is kept as evidence.
   * @throws BAD_INPUT_RESTORE_CODE: nothing has changed then */
  async confirmRestore(typed: string): Promise<void> {
    const { restoration, pins, practice, around } = this
    if (restoration === null || restoration.confirmed) return
    demandCode(restoration, typed)
    around.transport.hold = "renewing"
    try {
      const { origin, logKey } = practice
      const successions = signedOf(restoration.line).map((one) => ({ ...one }))
      await this.updateKeyring((keyring) => ({
        ...keyring,
        practice: { ...keyring.practice, origin, logKey },
        successions,
      }))
    } catch (error) {
      around.transport.hold = "unconfirmed"
      throw error
    }
    this.restoration = { ...restoration, confirmed: true }
    pins.held = false
    await pins.save()
    this.release()
  }

  /** Lets everything be sent, unless a way to unlock has to be replaced first. */
  release(): void {
    this.around.transport.hold = holdOf(this.restoration, this.pins)
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
      const number = nextKeyring(this.keyringNumber, this.pins.line.length)
      const { size, root } = this.pins.tree
      const keyring = { ...this.#withNews(change(this.keyring)), seen: { size, root, identity: this.identity.seq } }
      const token = await sealKeyring(this.key, this.physician, number, keyring)
      const items = keyringItems(this.physician, number, this.#keyringToken, token, keyring)
      const signed = await signAccount(this, "keyring", items)
      const hash = statementHash(signed.statement)
      try {
        const { answer, tree } = await this.log.exchange(
          (from) => {
            const json = putKeyring.body.encode({ token, signed, since: from.size })
            return resend(() => this.around.transport.call("PUT", paths.keyring, { json, reply: putKeyring.reply }))
          },
          (receipt) => receipt.log,
        )
        const about = { subject: this.physician, actor: this.physician, stream: "keyring", type: "keyring" } as const
        this.log.checkReceipt(answer, { ...about, number, statementHash: hash }, tree)
        this.keyring = keyring
        this.keyringNumber = number
        this.#keyringToken = sha256(token)
        this.#unsigned.keyring = false
        this.#keyringLeaves.set(number, { info: answer.leaf, hash })
        this.pins.keyring = number
        return answer.leaf.index
      } catch (error) {
        if (!(error instanceof AppError && error.code === "CONFLICT_KEYRING") || attempt >= 8) throw error
        await this.pullKeyring()
      }
    }
  }

  /** Saves what was learnt and the keyring does not hold yet: names of colleagues, and this device itself. What version 0.2 stored without
   * a signature is signed, and what was made anew from a former keyring and profile is stored. */
  async saveNews(): Promise<void> {
    const news = this.people.hasNews || this.#isNewDevice(this.keyring) || this.#unsigned.keyring
    if (news) await this.updateKeyring((keyring) => keyring)
    if (this.#unsigned.profile) await this.#renewProfile()
  }

  /** Stores the physician's own names once more, signed. Another device that was faster has done it. */
  async #renewProfile(): Promise<void> {
    const { physician, firstName, lastName } = this
    const number = this.#profile.number + 1
    const token = await seal(this.key, profilePlace(physician, number), encodeProfile({ firstName, lastName }))
    const item = { subject: physician, number, prev: this.#profile.hash, hash: sha256(token) }
    const json = putProfile.body.encode({ token, signed: await signAccount(this, "profile", [item]) })
    await this.around.transport.call("PUT", paths.profile, { json }).catch((error: unknown) => {
      if (!(error instanceof AppError && error.code === "CONFLICT_KEYRING")) throw error
    })
    this.#profile = { number, hash: sha256(token) }
    this.#unsigned.profile = false
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
    const hash = await this.#verifyKeyring(stored)
    const keyring = await openKeyring(this.key, this.physician, stored.number, stored.token)
    if (!sameLog(keyring.practice, this.practice)) throw new AppError("TAMPERED_PRACTICE")
    await advance(this, [keyring.seen])
    // This session itself may have gone on while it asked.
    if (stored.number <= this.keyringNumber) return this.keyringNumber
    this.keyring = keyring
    this.keyringNumber = stored.number
    this.#keyringToken = sha256(stored.token)
    this.#unsigned.keyring = stored.signed === undefined
    this.#keyringLeaves.set(stored.number, { info: stored.leaf, hash })
    this.pins.keyring = stored.number
    return stored.number
  }

  /** A keyring that another device stored may be signed under an identity that is newer than this session knows, with the same keys. */
  async #verifyKeyring(stored: StoredToken): Promise<Uint8Array> {
    const { signKey } = this.identity
    return verifyStored(this.physician, () => signKey, "keyring", stored)
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
    await this.kept.flush()
    await this.pins.save(covered)
    if (this.pins.others.length === 0) return
    await advance(this, this.pins.others)
    this.pins.others = []
    await this.pins.save(covered)
  }

  /** Saves what was seen, and ends the session on the server. The caller wipes. */
  async end(): Promise<void> {
    await this.kept.flush()
    // Nothing is saved of a restored log that is not confirmed, or before a way to unlock is replaced.
    if (this.around.transport.hold !== null) {
      await this.pins.save()
      await this.around.transport.call("DELETE", paths.session)
      return
    }
    const lags = this.pins.tree.size > this.keyring.seen.size + pinLag
    const save = async () => {
      if (lags) await this.updateKeyring((keyring) => keyring)
      await this.saveNews()
    }
    // A server that can store nothing ends a session all the same; what was seen is in the pins.
    await save().catch((error: unknown) => {
      if (!(error instanceof AppError && (error.code === "UNAVAILABLE_STORAGE" || error.is("UNAVAILABLE_QUOTA"))))
        throw error
    })
    await this.pins.save()
    await this.around.transport.call("DELETE", paths.session)
  }

  /** Ends all that still runs for this session before it reaches the server, and overwrites the keys. */
  wipe(): void {
    this.around.transport.close()
    for (const key of [this.key, this.keyring.signSeed, this.keyring.sealSeed, this.half]) if (key !== null) wipe(key)
  }
}

/** A keyring as it stands in the log that is pinned. @param isFormer whether it may be from before a restore that this device has confirmed
 * @throws TAMPERED_PRACTICE */
function inLog(keyring: Keyring, practice: PracticeReply, pins: Pins, isFormer: boolean): Keyring {
  if (sameLog(keyring.practice, practice)) return keyring
  if (!isFormer) throw new AppError("TAMPERED_PRACTICE")
  const { origin, logKey } = practice
  return {
    ...keyring,
    practice: { ...keyring.practice, origin, logKey },
    successions: pins.line.map((one) => ({ ...one })),
  }
}

function beginsWith(chain: readonly Signed[], first: readonly Signed[]): boolean {
  return first.every((one, seq) => equal(one.statement, chain[seq]?.statement ?? new Uint8Array(0)))
}

/** What a session stands on, as it was signed and sealed. @throws TAMPERED_SIGNATURE, TAMPERED_IDENTITY, CANNOT_OPEN */
async function openAccount(account: AccountReply, key: PhysicianKey) {
  const { physician } = account
  const keys = keysOfChain(account.identity)
  try {
    const keyringHash = await verifyStored(physician, keys, "keyring", account.keyring)
    await verifyStored(physician, keys, "profile", account.profile)
    return {
      keyring: await openKeyring(key, physician, account.keyring.number, account.keyring.token),
      profile: await openProfile(key, physician, account.profile),
      replaces: { keyring: sha256(account.keyring.token), profile: sha256(account.profile.token) },
      keyringHash,
    }
  } catch (cause) {
    if (cause instanceof AppError && cause.code === "CANNOT_OPEN")
      throw new AppError("CANNOT_OPEN", notOpening, { cause })
    throw cause
  }
}

const notOpening =
  "This cannot be opened with the keys you have: what the server keeps as your newest keyring, or as your names, is damaged. Call whoever runs your server. If they cannot mend it, you can open your account with an earlier keyring."

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
