import { encodeHex, equal } from "../encoding/bytes.ts"
import type { PhysicianId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { PublicKeys } from "../proof/chain.ts"
import { type Identity, usernamePattern, verifyIdentity } from "../proof/identity.ts"
import { safetyNumber } from "../proof/safety-number.ts"
import { readIdentity } from "../protocol/accounts.ts"
import { physicianPath, usernamePath } from "../protocol/paths.ts"
import type { Keyring, KnownColleague } from "../vault/keyring.ts"
import type { Session } from "./session.ts"
import { cleanUsername } from "./username.ts"
import type { Colleague, ColleagueView } from "./views.ts"

/** The other physicians, as far as this one has met them: their identity chains, held against what was verified before.
 * Nobody is trusted because a server names them: verifying is comparing the safety number. */
export class People {
  readonly #session: Session
  /** Whole chains, verified, by physician. */
  readonly #chains = new Map<PhysicianId, readonly Identity[]>()
  /** Whose accounts are suspended, as the server said when it was last asked. Nothing follows from it. */
  readonly #suspended = new Set<PhysicianId>()
  /** Names that physicians gave themselves, heard in this session. */
  readonly #names = new Map<PhysicianId, string>()
  readonly #asked = new Map<PhysicianId, Promise<Identity>>()

  constructor(session: Session) {
    this.#session = session
  }

  /** The keys behind a fingerprint that a member list names; `null` where the physician never had them.
   * @throws TAMPERED_IDENTITY, TAMPERED_LOG */
  async keysOf(physician: PhysicianId, fingerprint: Uint8Array): Promise<PublicKeys | null> {
    const { identity } = this.#session
    if (physician === identity.physician) return equal(identity.fingerprint, fingerprint) ? identity : null
    const find = () => this.#chains.get(physician)?.find((one) => equal(one.fingerprint, fingerprint)) ?? null
    const known = find()
    if (known !== null) return known
    await this.refresh(physician)
    return find()
  }

  /** The physician with exactly this username, asked anew. @throws NOT_ALLOWED where there is none; TAMPERED_IDENTITY */
  async find(username: string): Promise<Identity> {
    const name = cleanUsername(username)
    if (!usernamePattern.test(name)) throw new AppError("BAD_INPUT_USERNAME")
    const identity = await this.#fetch(usernamePath(name)).catch((error: unknown) => {
      if (error instanceof AppError && error.code === "NOT_ALLOWED")
        throw new AppError("NOT_ALLOWED", "Nobody in this practice has this username. Check its spelling.")
      throw error
    })
    const pinned = this.#session.keyring.colleagues.find((one) => one.username === name)
    const another = pinned !== undefined && pinned.physician !== identity.physician
    if (identity.username !== name || another) throw new AppError("TAMPERED_IDENTITY")
    return identity
  }

  /** A physician's newest identity, asked anew; questions at the same time are one. */
  refresh(physician: PhysicianId): Promise<Identity> {
    const asked = this.#asked.get(physician)
    if (asked !== undefined) return asked
    const fresh = this.#fetch(physicianPath(physician))
      .then((identity) => {
        if (identity.physician !== physician) throw new AppError("TAMPERED_IDENTITY")
        return identity
      })
      .finally(() => this.#asked.delete(physician))
    this.#asked.set(physician, fresh)
    return fresh
  }

  /** Asks for everybody of whom nothing is known yet. @returns whether somebody was met. Who cannot be asked stays unknown. */
  async meet(physicians: Iterable<PhysicianId>): Promise<boolean> {
    const strangers = [...new Set(physicians)].filter((one) => !this.#isKnown(one))
    const met = await Promise.all(
      strangers.map((one) =>
        this.refresh(one)
          .then(() => true)
          .catch(() => false),
      ),
    )
    return met.includes(true)
  }

  /** What a physician calls themself, as an entry's body or a grant says. */
  heard(physician: PhysicianId, name: string): void {
    if (name !== "" && physician !== this.#session.physician) this.#names.set(physician, name)
  }

  /** A keyring with the names of verified colleagues as they were last heard. */
  named(keyring: Keyring): Keyring {
    const colleagues = keyring.colleagues.map((one) => ({ ...one, name: this.#names.get(one.physician) ?? one.name }))
    return { ...keyring, colleagues }
  }

  /** Whether a verified colleague was heard by another name than the keyring holds. */
  get hasNews(): boolean {
    return this.#session.keyring.colleagues.some(({ physician, name }) => (this.#names.get(physician) ?? name) !== name)
  }

  /** As far as it is known without asking. */
  colleague(physician: PhysicianId): Colleague {
    const { session } = this.#ofMe()
    if (physician === session.physician)
      return { physician, username: session.username, name: session.fullName, state: "verified", verified: null }
    const pinned = this.pinned(physician)
    const username = pinned?.username ?? this.#chains.get(physician)?.at(-1)?.username ?? ""
    const name = this.#names.get(physician) ?? pinned?.name ?? ""
    const state = pinned?.state ?? "unverified"
    const verified = pinned?.state === "verified" ? { time: pinned.time, how: pinned.how } : null
    return { physician, username, name, state, verified }
  }

  isMe(physician: PhysicianId): boolean {
    return physician === this.#session.physician
  }

  /** How a physician is called on screen: by the username, or, of somebody who cannot be asked, by the beginning of their id. */
  label(physician: PhysicianId): string {
    return this.colleague(physician).username || `a physician (${physician.slice(0, 6)}…)`
  }

  /** What was verified of a physician, if anything. */
  pinned(physician: PhysicianId): KnownColleague | undefined {
    return this.#session.keyring.colleagues.find((one) => one.physician === physician)
  }

  /** Whether these keys are others than those that were verified: nothing can be given to them. Keys of somebody who was never verified are
   * not: a member list vouches for them. */
  isChanged({ physician, fingerprint }: Pick<Identity, "physician" | "fingerprint">): boolean {
    const pinned = this.pinned(physician)
    return pinned !== undefined && (pinned.state === "changed" || !equal(pinned.fingerprint, fingerprint))
  }

  /** The newest identity of somebody who may be given a record. @throws NOT_ALLOWED_UNVERIFIED, NOT_ALLOWED_CHANGED_KEY */
  async demandVerified(username: string): Promise<Identity> {
    const identity = await this.find(username)
    const pinned = this.pinned(identity.physician)
    if (pinned === undefined) throw new AppError("NOT_ALLOWED_UNVERIFIED")
    if (this.isChanged(identity)) throw new AppError("NOT_ALLOWED_CHANGED_KEY")
    return identity
  }

  /** Somebody together with the number to compare. */
  view(identity: Identity): ColleagueView {
    const { me } = this.#ofMe()
    const number = safetyNumber(me, identity)
    return {
      ...this.colleague(identity.physician),
      safetyNumber: number,
      fingerprint: encodeHex(identity.fingerprint),
      code: codeOf(me.physician, number),
      suspended: this.#suspended.has(identity.physician),
    }
  }

  /** Everybody who was ever verified, and these others, by username. */
  all(others: Iterable<PhysicianId>): Colleague[] {
    const { physician, keyring } = this.#session
    const ids = new Set([...keyring.colleagues.map((one) => one.physician), ...others])
    ids.delete(physician)
    return Array.from(ids, (id) => this.colleague(id)).sort((a, b) => (a.username < b.username ? -1 : 1))
  }

  /** Pins an identity once the number was compared, on every device of this physician.
   * @param given the digits that the colleague reads out, or what the code on their screen says.
   * @throws BAD_INPUT_SAFETY_NUMBER; BAD_INPUT_FORMAT for one's own code, which compares nothing */
  async verify(username: string, given: string, how: "digits" | "code"): Promise<ColleagueView> {
    const identity = await this.find(username)
    const { session, me } = this.#ofMe()
    if (identity.physician === session.physician)
      throw new AppError("BAD_INPUT_USERNAME", "This is your own username. Enter your colleague's.")
    const number = safetyNumber(me, identity)
    if (how === "code" && given.trim() === codeOf(me.physician, number))
      throw new AppError("BAD_INPUT_FORMAT", "This is your own code. Scan the one on your colleague's screen.")
    const same = how === "code" ? given.trim() === codeOf(identity.physician, number) : sameDigits(given, number)
    if (!same) throw new AppError("BAD_INPUT_SAFETY_NUMBER")
    const { physician, fingerprint, seq, hash } = identity
    const pin: KnownColleague = {
      physician,
      username: identity.username,
      name: this.colleague(physician).name,
      fingerprint,
      identity: { seq, hash },
      state: "verified",
      time: session.around.now(),
      how,
    }
    await session.updateKeyring((keyring) => ({
      ...keyring,
      colleagues: [...keyring.colleagues.filter((one) => one.physician !== physician), pin],
    }))
    return this.view(identity)
  }

  /** Takes a verification back. */
  async forget(username: string): Promise<void> {
    if (!this.#session.keyring.colleagues.some((one) => one.username === username)) return
    await this.#session.updateKeyring((keyring) => ({
      ...keyring,
      colleagues: keyring.colleagues.filter((one) => one.username !== username),
    }))
  }

  /** Fetches a chain, verifies it, that its newest statement is in the log, and that it goes on from what was pinned. */
  async #fetch(path: string): Promise<Identity> {
    const { log, around } = this.#session
    const { answer, tree } = await log.exchange(
      (from) => around.transport.call("GET", path, { query: { since: from.size }, reply: readIdentity.reply }),
      (reply) => reply.log,
    )
    const chain: Identity[] = []
    try {
      for (const signed of answer.identity) chain.push(await verifyIdentity(chain.at(-1) ?? null, signed))
    } catch (cause) {
      throw new AppError("TAMPERED_IDENTITY", undefined, { cause })
    }
    const newest = chain.at(-1)!
    const { physician, seq, hash } = newest
    const leaf = { subject: physician, actor: physician, stream: "identity", type: "identity", number: seq } as const
    log.checkLeaf(answer.leaf, answer.inclusion, { ...leaf, statementHash: hash }, tree)
    await this.#take(physician, chain)
    if (answer.suspended) this.#suspended.add(physician)
    else this.#suspended.delete(physician)
    return newest
  }

  async #take(physician: PhysicianId, chain: readonly Identity[]): Promise<void> {
    const before = this.#chains.get(physician)?.at(-1)
    if (before !== undefined && !goesOn(chain, before)) throw new AppError("TAMPERED_ROLLBACK")
    const pinned = this.pinned(physician)
    const { identity: mine, keyring } = this.#session
    const newest = chain.at(-1)!
    const namesake = [mine, ...keyring.colleagues].find(({ username }) => username === newest.username)
    // Nobody comes under the name of a colleague who was verified, or under one's own.
    if (namesake !== undefined && namesake.physician !== physician) throw new AppError("TAMPERED_IDENTITY")
    const known = physician === mine.physician ? mine : pinned?.identity
    if (known !== undefined && !goesOn(chain, known)) throw new AppError("TAMPERED_IDENTITY")
    this.#chains.set(physician, chain)
    if (physician === mine.physician && newest.seq > mine.seq && equal(newest.fingerprint, mine.fingerprint))
      this.#session.takeIdentity(newest)
    if (pinned?.state !== "verified" || equal(pinned.fingerprint, newest.fingerprint)) return
    // Signed by the key before, so truly theirs: but what was compared is no longer what they use.
    await this.#session.updateKeyring((keyring) => ({
      ...keyring,
      colleagues: keyring.colleagues.map((one) => (one.physician === physician ? { ...one, state: "changed" } : one)),
    }))
  }

  #isKnown(physician: PhysicianId): boolean {
    return physician === this.#session.physician || this.colleague(physician).username !== ""
  }

  #ofMe() {
    const { identity } = this.#session
    return { session: this.#session, me: { physician: identity.physician, fingerprint: identity.fingerprint } }
  }
}

function goesOn(chain: readonly Identity[], from: { readonly seq: number; readonly hash: Uint8Array }): boolean {
  const there = chain[from.seq]
  return there !== undefined && equal(there.hash, from.hash)
}

/** What the QR code of one side says: whose screen it stands on, and the number. Both sides' codes differ, so that nobody is verified by
 * a picture of one's own screen. */
function codeOf(shownBy: PhysicianId, number: string): string {
  return `${shownBy}:${number}`
}

/** Anything but digits is passed over, and nothing may be missing. */
function sameDigits(given: string, number: string): boolean {
  return number.length === 60 && given.normalize("NFKC").replace(/[^0-9]/g, "") === number
}
