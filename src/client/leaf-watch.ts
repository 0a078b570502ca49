import { equal } from "../encoding/bytes.ts"
import { type Id, idBytes, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { leafDataBytes, leafTag, leafTagger, type Stream } from "../proof/leaf.ts"
import type { RosterRow } from "./roster-row.ts"
import type { Session } from "./session.ts"

/** What a tag that this client waits for would mean. */
interface Meaning {
  readonly subject: Id
  readonly stream: Stream
  readonly number: number
}

export interface Look {
  readonly from: number
  /** 64 B a leaf. */
  readonly data: Uint8Array
  /** Leaves whose entries came along and were held against them. */
  readonly explained: ReadonlySet<number>
}

/** So many tags are made at a time, so that whoever waits for this thread gets it in between. */
const tagsAtOnce = 2000
/** Of a record that was accepted an entry may have been withheld whose leaf lies further back than this client ever looked: so many
 * numbers beyond the newest that is known are looked for in every record that somebody else may write. */
const aheadOfShared = 16
/** Numbers of keyrings and identities that are looked for beyond the newest that is known. */
const ahead = 64

/** Looks at every leaf of the log, whether it speaks of something that this physician was not told: an entry that is withheld, a
 * number that is used twice. Tags are recomputed from ids; nobody else can tell what a leaf speaks of. */
export class LeafWatch {
  readonly #session: Session
  readonly #rows: ReadonlyMap<RecordId, RosterRow>
  /** By the first six bytes of the tag, as a number. */
  readonly #tags = new Map<number, Meaning>()
  /** Where a tag that means something was seen. */
  readonly #seen = new Map<number, number>()
  /** How many numbers of each subject's stream have their tags made. */
  readonly #made = new Map<string, number>()
  /** Records that became the physician's in this session: leaves before say nothing that this client was owed. */
  readonly #since = new Map<RecordId, number>()
  #waiting: Look[] = []

  constructor(session: Session, rows: ReadonlyMap<RecordId, RosterRow>) {
    this.#session = session
    this.#rows = rows
  }

  add(look: Look): void {
    if (look.data.length > 0) this.#waiting.push(look)
  }

  /** A record was none of the physician's before: the server owes its entries from the answer on that said that they accepted it, which
   * began at this leaf. */
  excuse(record: RecordId, from: number): void {
    this.#since.set(record, from)
  }

  /** Looks at all that waits. @returns records of which an entry is withheld, with its seq.
   * @throws TAMPERED_LOG for a number that is used twice and for a keyring that the log does not have, TAMPERED_ROLLBACK for a keyring
   * or an identity that is withheld */
  async run(): Promise<{ record: RecordId; seq: number }[]> {
    const looks = this.#waiting
    this.#waiting = []
    const withheld: { record: RecordId; seq: number }[] = []
    if (looks.length === 0) return withheld
    await this.#makeTags()
    /** How far each colleague's chain reached that was fetched for this. */
    const reached = new Map<PhysicianId, number>()
    for (const look of looks)
      for (const { meaning, index, data } of this.#search(look)) {
        const { subject, stream, number } = meaning
        if (stream === "keyring") await this.#demandKeyring(number, data)
        else if (stream === "identity") await this.#demandIdentity(subject as PhysicianId, number, reached)
        else if (this.#isOwed(subject as RecordId, number, index))
          withheld.push({ record: subject as RecordId, seq: number })
      }
    return withheld
  }

  /** Leaves that mean something and whose entry did not come along. */
  *#search({ from, data, explained }: Look): Generator<{ meaning: Meaning; index: number; data: Uint8Array }> {
    for (let at = 0, index = from; at < data.length; at += leafDataBytes, index++) {
      const leaf = data.subarray(at, at + leafDataBytes)
      const key = keyOf(leaf)
      const meaning = this.#tags.get(key)
      if (meaning === undefined) continue
      const { subject, stream, number } = meaning
      if (!equal(leafTag(subject, stream, number), leaf.subarray(0, 32))) continue
      // One number, two leaves: whichever of them is told of, the other is one too many.
      const before = this.#seen.get(key)
      if (before !== undefined && before !== index) throw this.#session.log.refuse("TAMPERED_LOG")
      this.#seen.set(key, index)
      if (!explained.has(index)) yield { meaning, index, data: leaf }
    }
  }

  /** @throws TAMPERED_LOG where the client holds another entry under this number */
  #isOwed(record: RecordId, number: number, index: number): boolean {
    const row = this.#rows.get(record)
    if (row === undefined || index < (this.#since.get(record) ?? 0)) return false
    if (number > row.seq) return true
    if (index !== row.leaf) throw this.#session.log.refuse("TAMPERED_LOG")
    return false
  }

  async #demandKeyring(number: number, data: Uint8Array): Promise<void> {
    const session = this.#session
    if (number > session.keyringNumber && (await session.pullKeyring()) < number)
      throw session.log.refuse("TAMPERED_ROLLBACK")
    if (session.isOtherKeyring(number, data)) throw session.log.refuse("TAMPERED_LOG")
  }

  async #demandIdentity(physician: PhysicianId, number: number, reached: Map<PhysicianId, number>): Promise<void> {
    const session = this.#session
    if (physician === session.physician && number <= session.identity.seq) return
    if (number <= (reached.get(physician) ?? -1)) return
    const ask = () =>
      session.people.refresh(physician).catch((error: unknown) => {
        throw error instanceof AppError && error.is("TAMPERED") ? session.log.refuse(error.code) : error
      })
    let { seq } = await ask()
    // The first may share an answer that was on its way before this leaf was written.
    if (seq < number) seq = (await ask()).seq
    if (seq < number) throw session.log.refuse("TAMPERED_ROLLBACK")
    reached.set(physician, seq)
  }

  async #makeTags(): Promise<void> {
    const { physician, keyringNumber, identity, keyring } = this.#session
    let made = 0
    const make = async (stream: Stream, tag: ReturnType<typeof leafTagger>, subject: Id, to: number, from = 0) => {
      const name = `${stream}/${subject}`
      const done = this.#made.get(name) ?? from
      if (done > to) return
      const bytes = idBytes(subject)
      for (let number = done; number <= to; number++) {
        this.#tags.set(keyOf(tag(bytes, number)), { subject, stream, number })
        if (++made % tagsAtOnce === 0) await new Promise((next) => setTimeout(next))
      }
      this.#made.set(name, to + 1)
    }
    const [ofEntry, ofKeyring, ofIdentity] = [leafTagger("entry"), leafTagger("keyring"), leafTagger("identity")]
    for (const { id, seq, chain } of this.#rows.values())
      await make("entry", ofEntry, id, seq + (chain === "" ? 1 : aheadOfShared))
    await make("keyring", ofKeyring, physician, keyringNumber + ahead)
    await make("identity", ofIdentity, physician, identity.seq + ahead, identity.seq + 1)
    for (const { physician: colleague, identity: pinned } of keyring.colleagues)
      await make("identity", ofIdentity, colleague, pinned.seq + ahead, pinned.seq + 1)
  }
}

function keyOf(tag: Uint8Array): number {
  let key = 0
  for (let i = 0; i < 6; i++) key = key * 256 + tag[i]!
  return key
}
