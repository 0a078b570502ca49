import { equal } from "../encoding/bytes.ts"
import { type Id, idBytes, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { leafDataBytes, leafTag, leafTagger, type Stream } from "../proof/leaf.ts"
import { membersOf, type RosterRow } from "./roster-row.ts"
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
/** A colleague's access may end a little before or after the client thinks it does. */
const expirySlackMs = 10 * 60_000
/** Numbers of the physician's own keyring that are looked for beyond the newest that is known. */
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
  /** How many numbers of each record have their tags made: the next one's too. */
  readonly #made = new Map<RecordId, number>()
  /** Records that were accepted in this session: leaves before say nothing that this client was owed. */
  readonly #since = new Map<RecordId, number>()
  #waiting: Look[] = []

  constructor(session: Session, rows: ReadonlyMap<RecordId, RosterRow>) {
    this.#session = session
    this.#rows = rows
  }

  add(look: Look): void {
    if (look.data.length > 0) this.#waiting.push(look)
  }

  /** A record was accepted: the server owes its entries from the answer on that said so, which began at this leaf. */
  accepted(record: RecordId, from: number): void {
    this.#since.set(record, from)
  }

  /** Looks at all that waits. @returns records of which an entry is withheld, with its seq.
   * @throws TAMPERED_LOG for a number that is used twice, TAMPERED_ROLLBACK for a keyring or an identity that is withheld */
  async run(): Promise<{ record: RecordId; seq: number }[]> {
    const looks = this.#waiting
    this.#waiting = []
    const withheld: { record: RecordId; seq: number }[] = []
    if (looks.length === 0) return withheld
    await this.#makeTags()
    for (const look of looks)
      for (const { meaning, index } of this.#search(look)) {
        const { subject, stream, number } = meaning
        if (stream === "keyring") await this.#demandKeyring(number)
        else if (stream === "identity") await this.#demandIdentity(subject as PhysicianId, number)
        else if (this.#isOwed(subject as RecordId, number, index))
          withheld.push({ record: subject as RecordId, seq: number })
      }
    return withheld
  }

  /** Leaves that mean something and whose entry did not come along. */
  *#search({ from, data, explained }: Look): Generator<{ meaning: Meaning; index: number }> {
    for (let at = 0, index = from; at < data.length; at += leafDataBytes, index++) {
      const key = keyOf(data.subarray(at, at + 32))
      const meaning = this.#tags.get(key)
      if (meaning === undefined) continue
      const { subject, stream, number } = meaning
      if (!equal(leafTag(subject, stream, number), data.subarray(at, at + 32))) continue
      // One number, two leaves: whichever of them is told of, the other is one too many.
      const before = this.#seen.get(key)
      if (before !== undefined && before !== index) throw this.#session.log.refuse("TAMPERED_LOG")
      this.#seen.set(key, index)
      if (!explained.has(index)) yield { meaning, index }
    }
  }

  /** @throws TAMPERED_LOG where the client holds another entry under this number */
  #isOwed(record: RecordId, number: number, index: number): boolean {
    const row = this.#rows.get(record)
    if (row === undefined || index < (this.#since.get(record) ?? 0) || this.#mayHaveEnded(row)) return false
    if (number > row.seq) return true
    if (index !== row.leaf) throw this.#session.log.refuse("TAMPERED_LOG")
    return false
  }

  #mayHaveEnded(row: RosterRow): boolean {
    const mine = membersOf(row)?.find(({ physician }) => physician === this.#session.physician)
    return mine?.until !== undefined && mine.until - expirySlackMs < this.#session.around.now()
  }

  async #demandKeyring(number: number): Promise<void> {
    const session = this.#session
    if (number <= session.keyringNumber || (await session.pullKeyring()) >= number) return
    throw session.log.refuse("TAMPERED_ROLLBACK")
  }

  async #demandIdentity(physician: PhysicianId, number: number): Promise<void> {
    const session = this.#session
    if (physician === session.physician && number <= session.identity.seq) return
    if ((await session.people.refresh(physician)).seq < number) throw session.log.refuse("TAMPERED_ROLLBACK")
  }

  async #makeTags(): Promise<void> {
    const session = this.#session
    const entryTag = leafTagger("entry")
    let made = 0
    for (const { id, seq } of this.#rows.values()) {
      const done = this.#made.get(id) ?? 0
      if (done > seq + 1) continue
      const bytes = idBytes(id)
      for (let number = done; number <= seq + 1; number++) {
        this.#tags.set(keyOf(entryTag(bytes, number)), { subject: id, stream: "entry", number })
        if (++made % tagsAtOnce === 0) await new Promise((next) => setTimeout(next))
      }
      this.#made.set(id, seq + 2)
    }
    for (let number = 0; number <= session.keyringNumber + ahead; number++)
      this.#put(session.physician, "keyring", number)
    this.#put(session.physician, "identity", session.identity.seq + 1)
    for (const { physician, identity } of session.keyring.colleagues) this.#put(physician, "identity", identity.seq + 1)
  }

  #put(subject: Id, stream: Stream, number: number): void {
    this.#tags.set(keyOf(leafTag(subject, stream, number)), { subject, stream, number })
  }
}

function keyOf(tag: Uint8Array): number {
  let key = 0
  for (let i = 0; i < 6; i++) key = key * 256 + tag[i]!
  return key
}
