import { type Body, parseBody } from "../clinical/body.ts"
import { parseBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import { newId, type RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { EntryStatement } from "../proof/entry.ts"
import { demandDecided } from "./decided.ts"
import type { Former } from "./kept.ts"
import type { OpenRecord } from "./open-record.ts"
import { type Again, againOf, entryOf, keyOf, type OwnEntry, order, standsFor } from "./own-entry.ts"
import { endsRun, isDecided, isInLater, type Past, type Place, pastOf, placeIn, whereIs } from "./past.ts"
import { membersOf, type RosterRow } from "./roster-row.ts"
import { sendOwn } from "./send-own.ts"
import type { SentAgain } from "./views.ts"
import type { Workspace } from "./workspace.ts"

/** Sends what the physician wrote on this device and the server lost: unchanged where it still fits, else its changes as a new entry. What
 * cannot be sent, or is older than what the physician wrote in a later log, stays, and is named. An interruption loses nothing: what an entry
 * was made anew as is on the disk before it is sent.
 * @throws UNAVAILABLE_*, but what one record is too large or too new for; NOT_ALLOWED_SESSION, TAMPERED_*: nothing else ends a run */
export function sendAgain(work: Workspace): Promise<SentAgain> {
  return work.session.kept.alone(() => new Run(work).all())
}

/** What was written on this device and is not in the restored log, as its author wrote it: FHIR resources, in plain, as JSON.
 * @returns null where there is nothing of the kind */
export async function lostAsText(work: Workspace): Promise<string | null> {
  const all: { record: RecordId; time: number; changes: Body["changes"] }[] = []
  for (const { former, kept, unsure } of await pastOf(work))
    for (const own of [...former.own, ...unsure]) {
      const { leaf, record, body } = own
      if ((leaf === undefined || leaf >= kept) && body !== undefined)
        all.push({ record, time: entryOf(own).time, changes: parseBody(body).changes })
    }
  return all.length === 0 ? null : `${JSON.stringify(all, null, 2)}\n`
}

/** Forgets entries that stay on this device, once somebody has taken them out. @param keys see {@link NotSent} */
export function dismiss(work: Workspace, keys: readonly string[]): Promise<void> {
  const { kept } = work.session
  return kept.alone(async () => {
    for (const { former, unsure } of await pastOf(work))
      await kept.done(
        former,
        [...former.own, ...unsure].filter((own) => keys.includes(keyOf(own))),
      )
  })
}

interface Lost {
  readonly own: OwnEntry
  readonly past: Past
  /** What an entry is that sends it again; it says when this one was written. */
  readonly again: Again
}

/** `stands`: what it was made of is in this log, and it is kept for the next restore. */
type Outcome = "unchanged" | "anew" | "elsewhere" | "there" | "stands" | "nothing" | "waiting" | Left

/** Why it stays on the device, and whether it does whatever comes. */
interface Left {
  readonly left: string
  readonly isFinal?: boolean
}

const writtenSince = "You have written in this record since."

const overtaken = "When it was sent, something else was written in its place, and it was not taken."

const refusedThen = "The server refused it when it was written. If it still holds, write it once more."

const begunByOther = "Somebody else has begun a record under its number since."

const acceptFirst =
  "You are invited to this record again: accept it once more. What you wrote in it is sent again after that."

class Run {
  readonly #work: Workspace
  /** The physician's own entries in this log. */
  #here: OwnEntry[] = []
  /** Records of former logs that went on under another id. */
  readonly #moved = new Map<RecordId, RecordId>()
  /** Records of which an entry failed in this run, and what became of it: what was written later is not sent before it. */
  readonly #failed = new Map<RecordId, Outcome>()
  /** What former logs' entries are, and when they were written: an older restore may have brought them back. */
  readonly #dates = new Map<string, Again>()

  constructor(work: Workspace) {
    this.#work = work
  }

  async all(): Promise<SentAgain> {
    const { kept } = this.#work.session
    const report: Writable<SentAgain> = { unchanged: 0, anew: 0, waiting: 0, elsewhere: [], left: [] }
    const lost: Lost[] = []
    for (const past of await pastOf(this.#work)) {
      const { former, refused } = past
      const inBackup = former.own.filter(({ leaf }) => leaf !== undefined && leaf < past.kept)
      // What this backup holds, an earlier one may not hold: it is kept as an entry of the log that it is in.
      for (const own of inBackup) this.#note(own, own.leaf!, againOf(own, former.restores))
      await this.#done(former, [...inBackup, ...refused])
      for (const own of [...former.own, ...past.unsure])
        if (!inBackup.includes(own)) lost.push({ own, past, again: againOf(own, former.restores) })
      for (const { own } of past.later) this.#noteMove(own)
      for (const own of [...former.own, ...past.unsure]) this.#date(againOf(own, former.restores))
    }
    if (lost.length > 0) await this.#readHere()
    // What was written later is sent later, whichever log it was last sent in.
    lost.sort((a, b) => order(a.again, b.again) || a.own.time - b.own.time)
    for (const one of lost) {
      const { own, past } = one
      const outcome = await this.#sendOne(one)
      const name = past.former.heads.find(({ record }) => record === own.record)?.name ?? ""
      const about = { key: keyOf(own), id: this.#targetOf(own.record), name, time: entryOf(own).time }
      if (typeof outcome === "object")
        report.left.push({
          ...about,
          reason: outcome.left,
          hasContent: own.body !== undefined,
          isFinal: outcome.isFinal === true,
        })
      else if (outcome === "elsewhere") report.elsewhere.push(about)
      else if (outcome !== "there" && outcome !== "stands" && outcome !== "nothing") report[outcome]++
      if (outcome === "elsewhere") report.anew++
      if (typeof outcome === "string" && !["stands", "nothing", "waiting"].includes(outcome))
        await this.#done(past.former, [own])
    }
    await kept.flush()
    return report
  }

  async #sendOne(lost: Lost, isSecond = false): Promise<Outcome> {
    const { session, roster } = this.#work
    const { record } = lost.own
    const failed = this.#failed.get(this.#targetOf(record))
    if (failed !== undefined && !lost.past.unsure.includes(lost.own)) return failed
    try {
      return await this.#tryOne(lost)
    } catch (error) {
      if (endsRun(error) || !(error instanceof AppError) || session.log.refusal !== null) throw error
      // It may have been taken all the same.
      this.#noteRecent()
      if (error.code === "CONFLICT_HEAD" && !isSecond) {
        await roster.syncAfresh()
        return this.#sendOne(lost, true)
      }
      const outcome: Outcome = error.code === "NOT_ALLOWED_RESTORED" ? "waiting" : { left: error.message }
      this.#failed.set(this.#targetOf(record), outcome)
      return outcome
    }
  }

  async #tryOne(lost: Lost): Promise<Outcome> {
    const { own, past, again } = lost
    const { roster, records } = this.#work
    if (isInLater(own, past)) return "there"
    const target = this.#targetOf(own.record)
    // What its newest entry is, and whether it is gone, is not known.
    const refusal = roster.refused.get(own.record) ?? roster.refused.get(target)
    if (refusal !== undefined) return { left: refusal.message }
    const place = await this.#placeIn(own)
    if (place !== null && equal(place.hash, own.hash)) {
      this.#note(own, roster.rows.get(own.record)!.leaf, again)
      return "there"
    }
    if ((await this.#whereIs(own)) !== null) return "stands"
    if (own.leaf === undefined && place !== null && place.leaf < past.kept) return { left: overtaken, isFinal: true }
    if (past.unsure.includes(own)) {
      const isNothing = own.body === undefined && (await isDecided(this.#work, own, past, target))
      return isNothing ? "there" : { left: refusedThen, isFinal: true }
    }
    const before = await this.#goOn(own)
    if (before !== null) return before
    const isNewer = (restores: number) => restores > again.restores
    const rewritten = past.later.some(
      ({ own: { record, body, again }, restores }) =>
        record === own.record && body !== undefined && isNewer(again?.restores ?? restores),
    )
    if (own.body !== undefined && rewritten) return { left: writtenSince, isFinal: true }
    const row = roster.rows.get(target)
    const entry = entryOf(own)
    if (row === undefined && entry.kind === "open") return this.#begin(lost, entry)
    if (roster.toAccept.has(target)) return { left: acceptFirst }
    if (target === own.record && fits(entry, row, past.kept)) return this.#post(unheard(own, again))
    if (own.body === undefined)
      return (await isDecided(this.#work, own, past, target)) ? "nothing" : { left: "It says who may read the record." }
    if (row === undefined) return { left: withoutBeginning(own, past), isFinal: true }
    const opened = await records.open(target)
    const first = opened.steps[0]!
    if (first.leaf >= past.kept && first.entry.author !== (own.beganBy ?? entry.author))
      return entry.kind === "open" ? this.#anewElsewhere(lost) : { left: begunByOther, isFinal: true }
    await this.#demandDecided(opened)
    const since = this.#writtenSince(opened, lost)
    if (since !== null) return { left: since, isFinal: true }
    const { head } = await records.write(opened, parseBody(own.body), isDeflated(own), again)
    this.#take({ ...own, record: target, seq: head.seq, hash: head.hash, leaf: head.leaf, again })
    return "anew"
  }

  /** Goes on with what an earlier run began. @returns `null` where nothing of it counts */
  async #goOn(own: OwnEntry): Promise<Outcome | null> {
    const { session, roster } = this.#work
    const heirs = this.#here.filter((one) => standsFor(one, own))
    const heir = heirs.find(({ leaf }) => leaf !== undefined) ?? heirs[0]
    if (heir === undefined) return null
    const there = heir.record !== own.record && entryOf(own).kind === "open" ? "elsewhere" : "there"
    if (heir.leaf !== undefined) return there
    const place = await this.#placeIn(heir)
    const taken = place === null ? null : equal(place.hash, heir.hash)
    if (taken === true) {
      const { refused: _, ...seen } = heir
      this.#noteMove(seen)
      this.#note(heir, roster.rows.get(heir.record)!.leaf, heir.again)
      return there
    }
    const refusal = roster.refused.get(heir.record)
    if (refusal !== undefined) return { left: refusal.message }
    const entry = entryOf(heir)
    const row = roster.rows.get(heir.record)
    if (isNext(entry, row) && !heir.refused) {
      if (row !== undefined) await this.#demandDecided(await this.#work.records.open(heir.record))
      const sent = await this.#post(heir)
      return there === "elsewhere" ? there : sent
    }
    const isBehind = row !== undefined && row.seq < heir.seq
    if (taken !== false && !isBehind && !heir.refused) return this.#mayBeThere(new AppError("CANNOT_OPEN"))
    // What it was made of is still kept.
    await session.kept.own.forget(heir)
    this.#here = this.#here.filter((one) => one !== heir)
    return this.#goOn(own)
  }

  /** Begins a record anew that is not there any more. Somebody may have taken its id since, for a record or for themself. */
  async #begin(lost: Lost, entry: EntryStatement): Promise<Outcome> {
    const { own, past, again } = lost
    try {
      if (fits(entry, undefined, past.kept)) return await this.#post(unheard(own, again))
      await this.#create(lost, own.record)
      return "anew"
    } catch (error) {
      if (!(error instanceof AppError) || !["NOT_ALLOWED", "CONFLICT_HEAD", "CONFLICT_EXISTS"].includes(error.code))
        throw error
      await this.#work.roster.syncAfresh()
      if (this.#work.roster.rows.has(own.record)) return this.#tryOne(lost)
      return this.#anewElsewhere(lost)
    }
  }

  async #anewElsewhere(lost: Lost): Promise<Outcome> {
    await this.#create(lost, newId<"record">())
    return "elsewhere"
  }

  async #create({ own, again }: Lost, id: RecordId): Promise<void> {
    const { head } = await this.#work.records.create(parseBody(own.body!), isDeflated(own), id, again)
    this.#take({ ...own, record: id, seq: head.seq, hash: head.hash, leaf: head.leaf, again })
  }

  /** Sends the very same request once more. */
  async #post(own: OwnEntry): Promise<Outcome> {
    const { session, roster } = this.#work
    // It is on its way from now on, whenever it was written.
    const sent = { ...own, time: session.around.now() }
    const { leaf } = await sendOwn(session, sent)
    this.#take({ ...sent, leaf: leaf.index })
    await roster.syncAfresh()
    return own.again !== undefined && equal(own.again.was[0]!.hash, own.hash) ? "unchanged" : "anew"
  }

  /** What this log has and the former one did not is not written over, be it a colleague's or the physician's. What this device has sent again of
   * the physician's own is as old as what it stands for. */
  #writtenSince({ head, steps }: OpenRecord, { past, again }: Lost): string | null {
    const me = this.#work.session.physician
    const since = steps.filter(({ entry: { kind, seq }, leaf }) => {
      if (kind !== "write" || leaf < past.kept) return false
      const made = this.#dates.get(keyOf({ hash: steps[seq + 1]?.entry.prev ?? head.hash }))
      return made === undefined || order(made, again) > 0
    })
    if (since.length === 0) return null
    return since.some(({ entry: { author } }) => author !== me)
      ? "A colleague has written in this record since."
      : writtenSince
  }

  #demandDecided({ head, steps }: OpenRecord): Promise<void> {
    return demandDecided(this.#work.session, head, async () => steps.map(({ entry }) => entry))
  }

  #note(own: OwnEntry, leaf: number, again: Again | undefined): void {
    this.#work.session.kept.own.note({ ...own, leaf, ...(again && { again }) })
  }

  async #readHere(): Promise<void> {
    const { own } = this.#work.session.kept
    await own.unheard()
    this.#here = []
    for (const one of await own.here()) this.#take(one)
    // Another tab may have sent it while this one waited: what the roster does not show yet may have been taken all the same.
    if (this.#here.some(({ leaf }) => leaf === undefined)) await this.#work.roster.syncAfresh()
  }

  /** Takes in an entry of this log. */
  #take(own: OwnEntry): void {
    this.#here.push(own)
    this.#noteMove(own)
    if (own.again !== undefined) this.#date({ ...own.again, was: [own, ...own.again.was] })
  }

  #date(again: Again): void {
    for (const one of again.was) this.#dates.set(keyOf(one), again)
  }

  /** @throws CANNOT_OPEN where it cannot be told */
  #placeIn({ record, seq }: OwnEntry): Promise<Place | null> {
    return placeIn(this.#work, record, seq).catch((error) => this.#mayBeThere(error))
  }

  #whereIs(own: OwnEntry): Promise<Place | null> {
    return whereIs(this.#work, own).catch((error) => this.#mayBeThere(error))
  }

  /** Takes in what was sent and was not seen in the log, as it is known now. */
  #noteRecent(): void {
    const recent = new Map(this.#work.session.kept.own.recent.map((own) => [keyOf(own), own]))
    // What another tab has sent stays: only its own memory knows more of it.
    const others = this.#here.filter((own) => own.leaf !== undefined || !recent.has(keyOf(own)))
    for (const own of others) recent.delete(keyOf(own))
    this.#here = others
    for (const own of recent.values()) this.#take(own)
  }

  /** A log that is refused is refused, whichever record it was met in. */
  #mayBeThere(error: unknown): never {
    if (endsRun(error) || !(error instanceof AppError) || this.#work.session.log.refusal !== null) throw error
    throw new AppError("CANNOT_OPEN", "The record does not open here, and may have it already.", { cause: error })
  }

  /** Where a device cannot let go of what is there, the next run finds that it is. */
  #done(former: Former, entries: readonly OwnEntry[]): Promise<void> {
    return this.#work.session.kept.done(former, entries).catch(() => {})
  }

  #noteMove({ record, again, refused }: OwnEntry): void {
    if (refused) return
    for (const was of again?.was ?? []) if (was.record !== record) this.#moved.set(was.record, record)
  }

  #targetOf(record: RecordId): RecordId {
    const passed = new Set<RecordId>()
    let target = record
    for (let next = this.#moved.get(target); next !== undefined && !passed.has(next); next = this.#moved.get(target)) {
      passed.add(target)
      target = next
    }
    return target
  }
}

type Writable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer Item)[] ? Item[] : T[K] }

/** An entry as one of the log that it is sent in now. */
function unheard({ leaf: _, ...own }: OwnEntry, again: Again): OwnEntry {
  return { ...own, again }
}

function isDeflated(own: OwnEntry): boolean {
  return (own.sent.body?.length ?? 0) < (own.body?.length ?? 0)
}

/** Why an entry has no record to go into. */
function withoutBeginning({ record }: OwnEntry, { former }: Past): string {
  const isKept = former.own.some((one) => one.record === record && one.seq === 0)
  const why = isKept
    ? "the entry that began it cannot be sent again."
    : "this device has not kept the entry that began it: it was written elsewhere, or it was too large or too long ago."
  return `The record is not there any more, and ${why}`
}

/** Whether an entry can go as it is: on the head that it was made for, knowing nothing of what is lost, in a record of one's own alone. */
function fits(entry: EntryStatement, row: RosterRow | undefined, kept: number): boolean {
  if (entry.kind === "members" || entry.seen.size > kept || !isNext(entry, row)) return false
  return row === undefined || (isAlone(row) && entry.epoch === row.epoch)
}

/** Whether it was made for the head that is there. */
function isNext({ kind, prev }: EntryStatement, row: RosterRow | undefined): boolean {
  return row === undefined ? kind === "open" : prev !== undefined && equal(prev, parseBase64url(row.hash))
}

function isAlone(row: RosterRow): boolean {
  return membersOf(row) === null
}
