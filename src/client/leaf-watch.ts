import { equal, firstSix } from "../encoding/bytes.ts"
import { type Id, idBytes, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { leafDataBytes, leafTag, leafTagger, type Stream } from "../proof/leaf.ts"
import { keyringStep } from "../proof/succession.ts"
import { beginsAs, type LeafTags, LookedLeaves } from "./looked-leaves.ts"
import { leavesBelow } from "./read-chain.ts"
import type { RosterRow } from "./roster-row.ts"
import type { Session } from "./session.ts"

/** What a tag that this client waits for would mean. */
interface Meaning {
  readonly subject: Id
  readonly stream: Stream
  readonly number: number
  /** Where the tag was seen. */
  index: number | null
  /** Another whose tag begins alike: ids are chosen by colleagues. */
  readonly alike: Meaning | undefined
}

/** A number of a stream, where something unexplained stands for it in the log. */
interface Hit {
  readonly number: number
  readonly data: Uint8Array
}

/** A record's first number after what its row shows. */
interface Late {
  readonly record: RecordId
  readonly number: number
  readonly tag: Uint8Array
  readonly alike: Late | undefined
}

/** Where an entry's number stands in the log. */
interface Place {
  readonly record: RecordId
  readonly number: number
  readonly index: number
}

export interface Look {
  readonly from: number
  /** 64 B a leaf. */
  readonly data: Uint8Array
  /** Leaves whose entries came along and were held against them. */
  readonly explained: ReadonlySet<number>
}

/** So many tags are made at a time, so that whoever waits for this thread gets it in between. */
const tagsAtOnce = 500
/** Numbers of keyrings and identities that are looked for beyond the newest that is known. */
const ahead = 64

/** An entry that the log holds and that the server did not show. */
export interface Withheld {
  readonly record: RecordId
  readonly seq: number
}

/** Looks at every leaf of the log, whether it speaks of something that this physician was not told: an entry that is withheld, a
 * number that is used twice. Tags are recomputed from ids; nobody else can tell what a leaf speaks of. No answer of the server's ends
 * this for a leaf: whatever stands after a row's head has to be explained, or the record is refused. */
export class LeafWatch {
  readonly #session: Session
  readonly #rows: ReadonlyMap<RecordId, RosterRow>
  readonly #looked: LookedLeaves
  /** By the first six bytes of the tag, as a number. */
  readonly #tags = new Map<number, Meaning>()
  /** How far each physician's identity reached that was asked for. */
  readonly #reached = new Map<PhysicianId, number>()
  /** How many numbers of each subject's stream have their tags made. */
  readonly #made = new Map<string, number>()
  /** Records whose head was learnt of after leaves behind it had been looked at. */
  readonly #late = new Set<RecordId>()
  #waiting: Look[] = []
  /** Leaves before this one are looked at, or were. */
  #begun = 0

  constructor(session: Session, rows: ReadonlyMap<RecordId, RosterRow>) {
    this.#session = session
    this.#rows = rows
    this.#looked = new LookedLeaves(session)
  }

  add(look: Look): void {
    if (look.data.length > 0) this.#waiting.push(look)
  }

  /** Takes up the rows of packed segments. @param complete for the leaves before this one the physician's own keyring stands */
  begin(complete: number): void {
    this.#late.clear()
    this.#begun = complete
  }

  /** Hears of a head that was verified. What comes after it may stand in leaves that were looked at before it was known. */
  moved({ id, leaf }: RosterRow): void {
    if (leaf + 1 < this.#begun) this.#late.add(id)
  }

  /** The beginnings of the tags of leaves [from, to), proved to be the log's. @throws TAMPERED_LOG */
  tags(from: number, to: number): LeafTags {
    return this.#looked.tags(from, to)
  }

  /** Whether such leaves are still to be looked at. */
  isLate(record: RecordId): boolean {
    return this.#late.has(record)
  }

  forget(record: RecordId): void {
    this.#late.delete(record)
  }

  /** Looks at all that waits; if that fails, it waits on.
   * @param tell hears of what is withheld before the server is asked anything: no question that stays unanswered keeps it back
   * @throws TAMPERED_LOG for a number that is used twice and for a keyring that the log does not have, TAMPERED_ROLLBACK for a keyring
   * or an identity that is withheld */
  async run(tell: (withheld: readonly Withheld[]) => void): Promise<void> {
    const looks = this.#waiting
    this.#waiting = []
    for (const { from, data } of looks) {
      this.#looked.add(from, data)
      this.#begun = Math.max(this.#begun, from + data.length / leafDataBytes)
    }
    // Each of the two asks the server: where one gets no answer, the other looks all the same.
    const failures: unknown[] = []
    const fails = (error: unknown) => void failures.push(error)
    await this.#lookAt(looks, tell).catch((error) => {
      this.#waiting = [...looks, ...this.#waiting]
      fails(error)
    })
    await this.#lookBack(tell).catch(fails)
    if (failures.length > 0) throw failures[0]
  }

  async #lookAt(looks: readonly Look[], tell: (withheld: readonly Withheld[]) => void): Promise<void> {
    if (looks.length === 0) return
    await this.#makeTags()
    do {
      const withheld: Withheld[] = []
      const earlier: Place[] = []
      const keyrings: Hit[] = []
      const identities: (Hit & { readonly physician: PhysicianId })[] = []
      for (const look of looks)
        for (const { meaning, index, data } of this.#search(look)) {
          const { subject, stream, number } = meaning
          if (stream === "keyring") keyrings.push({ number, data })
          else if (stream === "identity") identities.push({ physician: subject as PhysicianId, number, data })
          else if (this.#isOwed({ record: subject as RecordId, number, index }, earlier))
            withheld.push({ record: subject as RecordId, seq: number })
        }
      tell(withheld)
      for (const { number, data } of keyrings) await this.#demandKeyring(number, data)
      for (const { physician, number } of identities) await this.#demandIdentity(physician, number)
      await this.#demandEarlier(earlier)
      // What was asked for may have brought newer numbers, which are looked for in the same leaves.
    } while (await this.#makeTags())
  }

  /** Looks once more at what was there before a record's head was known: whatever came after it is owed. */
  async #lookBack(tell: (withheld: readonly Withheld[]) => void): Promise<void> {
    const late = new Map<number, Late>()
    const rows = [...this.#late].map((record) => this.#rows.get(record)).filter((row) => row !== undefined)
    const to = this.#begun
    let first = to
    for (const { id: record, seq, leaf } of rows) {
      const tag = leafTag(record, "entry", seq + 1)
      const key = firstSix(tag)
      late.set(key, { record, number: seq + 1, tag, alike: late.get(key) })
      first = Math.min(first, leaf + 1)
    }
    const withheld: Withheld[] = []
    const earlier: Place[] = []
    for await (const { index, tag } of this.#looked.tags(first, to))
      for (let one = late.get(firstSix(tag)); one !== undefined; one = one.alike) {
        const { record, number } = one
        if (beginsAs(one.tag, tag) && this.#isOwed({ record, number, index }, earlier))
          withheld.push({ record, seq: number })
      }
    tell(withheld)
    await this.#demandEarlier(earlier)
    // A head that has moved meanwhile is looked for once more.
    for (const { id, seq } of rows) if (this.#rows.get(id)?.seq === seq) this.#late.delete(id)
  }

  /** Leaves that mean something and that nothing which came along recomputes to. */
  *#search({ from, data, explained }: Look): Generator<{ meaning: Meaning; index: number; data: Uint8Array }> {
    for (let at = 0, index = from; at < data.length; at += leafDataBytes, index++) {
      const leaf = data.subarray(at, at + leafDataBytes)
      for (let one = this.#tags.get(firstSix(leaf)); one !== undefined; one = one.alike) {
        if (!equal(leafTag(one.subject, one.stream, one.number), leaf.subarray(0, 32))) continue
        // One number, two leaves: whichever of them is told of, the other is one too many.
        if (one.index !== null && one.index !== index) throw this.#session.log.refuse("TAMPERED_LOG")
        one.index = index
        if (!explained.has(index)) yield { meaning: one, index, data: leaf }
      }
    }
  }

  /** Whether an entry is beyond what the client holds. One before its head goes to `earlier`.
   * @throws TAMPERED_LOG where the head has another leaf under its number */
  #isOwed(place: Place, earlier: Place[]): boolean {
    const row = this.#rows.get(place.record)
    if (row === undefined) return false
    if (place.number > row.seq) return true
    if (place.number < row.seq) earlier.push(place)
    else if (place.index !== row.leaf) throw this.#session.log.refuse("TAMPERED_LOG")
    return false
  }

  /** Demands that leaves which nothing explained are those of the very entries below the heads that the client holds.
   * @throws TAMPERED_LOG where one is not */
  async #demandEarlier(places: readonly Place[]): Promise<void> {
    for (const [record, all] of Map.groupBy(places, (place) => place.record)) {
      const row = this.#rows.get(record)
      if (row === undefined) continue
      const first = all.reduce((least, { number }) => Math.min(least, number), all[0]!.number)
      const leaves = await leavesBelow(this.#session, row, first).catch((error: unknown) => {
        if (!(error instanceof AppError)) throw error
        // Taken away meanwhile: the next pull says so, and then nothing waits for this.
        if (error.code === "NOT_ALLOWED") throw new AppError("UNAVAILABLE", undefined, { cause: error })
        throw error.is("TAMPERED") || error.is("BAD_INPUT") ? this.#session.log.refuse("TAMPERED_LOG") : error
      })
      for (const { number, index } of all)
        if (leaves.get(number) !== index) throw this.#session.log.refuse("TAMPERED_LOG")
    }
  }

  async #demandKeyring(number: number, data: Uint8Array): Promise<void> {
    const session = this.#session
    if (number > session.keyringNumber && (await session.pullKeyring()) < number)
      throw session.log.refuse("TAMPERED_ROLLBACK")
    if (session.isOtherKeyring(number, data)) throw session.log.refuse("TAMPERED_LOG")
  }

  async #demandIdentity(physician: PhysicianId, number: number): Promise<void> {
    const session = this.#session
    if (physician === session.physician && number <= session.identity.seq) return
    if (number <= (this.#reached.get(physician) ?? -1)) return
    const ask = () =>
      session.people.refresh(physician).catch((error: unknown) => {
        throw error instanceof AppError && error.is("TAMPERED") ? session.log.refuse(error.code) : error
      })
    let { seq } = await ask()
    // The first may share an answer that was on its way before this leaf was written.
    if (seq < number) seq = (await ask()).seq
    if (seq < number) throw session.log.refuse("TAMPERED_ROLLBACK")
    this.#reached.set(physician, seq)
  }

  /** Makes the tags of all numbers that are looked for by now. @returns whether there are any that were not before */
  async #makeTags(): Promise<boolean> {
    const { physician, keyringNumber, identity, keyring } = this.#session
    let made = 0
    const make = async (stream: Stream, tag: ReturnType<typeof leafTagger>, subject: Id, to: number, from = 0) => {
      const name = `${stream}/${subject}/${Math.floor(from / keyringStep)}`
      const done = Math.max(this.#made.get(name) ?? 0, from)
      if (done > to) return
      const bytes = idBytes(subject)
      for (let number = done; number <= to; number++) {
        const key = firstSix(tag(bytes, number))
        this.#tags.set(key, { subject, stream, number, index: null, alike: this.#tags.get(key) })
        if (++made % tagsAtOnce === 0) await new Promise((next) => setTimeout(next))
      }
      this.#made.set(name, to + 1)
    }
    const [ofEntry, ofKeyring, ofIdentity] = [leafTagger("entry"), leafTagger("keyring"), leafTagger("identity")]
    for (const { id, seq } of this.#rows.values()) await make("entry", ofEntry, id, seq + 1)
    // Numbers before the keyring's own restore are of keyrings that nobody stores any more. One that is kept back may be of any restore since.
    const first = Math.floor(keyringNumber / keyringStep)
    await make("keyring", ofKeyring, physician, keyringNumber + ahead, first * keyringStep)
    for (let restore = first + 1; restore <= this.#session.pins.line.length; restore++)
      await make("keyring", ofKeyring, physician, restore * keyringStep + ahead, restore * keyringStep)
    await make("identity", ofIdentity, physician, identity.seq + ahead, identity.seq + 1)
    for (const { physician: colleague, identity: pinned } of keyring.colleagues)
      await make(
        "identity",
        ofIdentity,
        colleague,
        Math.max(pinned.seq, this.#reached.get(colleague) ?? 0) + ahead,
        pinned.seq + 1,
      )
    return made > 0
  }
}
