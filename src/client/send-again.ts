import { type Body, parseBody } from "../clinical/body.ts"
import { parseBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import { newId, type RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { EntryStatement } from "../proof/entry.ts"
import { demandDecided } from "./decided.ts"
import type { Former } from "./kept.ts"
import type { OpenRecord } from "./open-record.ts"
import { type Again, againOf, entryOf, keyOf, type OwnEntry, sentOf, standsFor } from "./own-entry.ts"
import { endsRun, isDecided, isInLater, isTaken, type Past, pastOf } from "./past.ts"
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
  for (const { former, kept } of await pastOf(work))
    for (const own of former.own) {
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
    for (const { former } of await pastOf(work))
      await kept.done(
        former,
        former.own.filter((own) => keys.includes(keyOf(own))),
      )
  })
}

interface Lost {
  readonly own: OwnEntry
  readonly past: Past
  /** What an entry is that sends it again; it says when this one was written. */
  readonly again: Again
}

type Outcome = "unchanged" | "anew" | "elsewhere" | "there" | "nothing" | "waiting" | Left

/** Why it stays on the device, and whether it does whatever comes. */
interface Left {
  readonly left: string
  readonly isFinal?: boolean
}

const writtenSince = "You have written in this record since."

const mayBeThere = "The record does not open here, and may have it already."

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
      for (const own of former.own)
        if (!inBackup.includes(own)) lost.push({ own, past, again: againOf(own, former.restores) })
      for (const { own } of past.later) this.#noteMove(own)
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
      else if (outcome !== "there" && outcome !== "nothing") report[outcome]++
      if (outcome === "elsewhere") report.anew++
      if (typeof outcome === "string" && outcome !== "nothing" && outcome !== "waiting")
        await this.#done(past.former, [own])
    }
    await kept.flush()
    return report
  }

  async #sendOne(lost: Lost, isSecond = false): Promise<Outcome> {
    const { session, roster } = this.#work
    const { record } = lost.own
    const failed = this.#failed.get(this.#targetOf(record))
    if (failed !== undefined) return failed
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
    if ((await isTaken(this.#work, own)) === true) {
      this.#note(own, roster.rows.get(own.record)!.leaf, again)
      return "there"
    }
    if (isInLater(own, past)) return "there"
    const before = await this.#goOn(own)
    if (before !== null) return before
    const isNewer = (restores: number) => restores > again.restores
    const rewritten = past.later.some(
      ({ own: { record, body, again }, restores }) =>
        record === own.record && body !== undefined && isNewer(again?.restores ?? restores),
    )
    if (own.body !== undefined && rewritten) return { left: writtenSince, isFinal: true }
    const target = this.#targetOf(own.record)
    const row = roster.rows.get(target)
    const refusal = roster.refused.get(target)
    // What its newest entry is, and whether it is gone, is not known.
    if (refusal !== undefined) return { left: refusal.message }
    const entry = entryOf(own)
    if (row === undefined && entry.kind === "open") return this.#begin(lost, entry)
    if (roster.toAccept.has(target)) return { left: acceptFirst }
    if (target === own.record && fits(entry, row, past.kept)) return this.#post(unheard(own, again))
    if (own.body === undefined)
      return (await isDecided(this.#work, own, past, target)) ? "nothing" : { left: "It says who may read the record." }
    if (row === undefined) return { left: withoutBeginning(own, past), isFinal: true }
    const opened = await records.open(target)
    // Somebody else has taken its id meanwhile: it is another record.
    if (entry.kind === "open" && opened.steps[0]!.entry.author !== entry.author) return this.#anewElsewhere(lost)
    await this.#demandDecided(opened)
    const since = this.#writtenSince(opened, lost)
    if (since !== null) return { left: since, isFinal: true }
    const { head } = await records.write(opened, parseBody(own.body), isDeflated(own), again)
    this.#here.push({ ...own, record: target, seq: head.seq, hash: head.hash, leaf: head.leaf, again })
    return "anew"
  }

  /** Goes on with what an earlier run began. @returns `null` where nothing of it counts */
  async #goOn(own: OwnEntry): Promise<Outcome | null> {
    const { session, roster } = this.#work
    const heir = this.#here.find((one) => standsFor(one, own))
    if (heir === undefined) return null
    if (heir.leaf !== undefined) return "there"
    const taken = await isTaken(this.#work, heir)
    if (taken === true) {
      this.#note(heir, roster.rows.get(heir.record)!.leaf, heir.again)
      return "there"
    }
    const refusal = roster.refused.get(heir.record)
    if (refusal !== undefined) return { left: refusal.message }
    const entry = entryOf(heir)
    const row = roster.rows.get(heir.record)
    if (isNext(entry, row)) {
      if (row !== undefined) await this.#demandDecided(await this.#work.records.open(heir.record))
      return this.#post(heir)
    }
    const isBehind = row !== undefined && row.seq < heir.seq
    if (taken !== false && !isBehind) throw new AppError("CANNOT_OPEN", mayBeThere)
    await session.kept.own.forget(heir)
    this.#here = this.#here.filter((one) => one !== heir)
    return null
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
    const made = { ...own, record: id, seq: head.seq, hash: head.hash, leaf: head.leaf, again }
    this.#here.push(made)
    this.#noteMove(made)
  }

  /** Sends the very same request once more. */
  async #post(own: OwnEntry): Promise<Outcome> {
    const { session, roster } = this.#work
    // It is on its way from now on, whenever it was written.
    const sent = { ...own, time: session.around.now() }
    const { leaf } = await sendOwn(session, sent, JSON.parse(own.sent))
    this.#here.push({ ...sent, leaf: leaf.index })
    await roster.syncAfresh()
    return own.again !== undefined && equal(own.again.hash, own.hash) ? "unchanged" : "anew"
  }

  /** What was written since is not written over, by a colleague or by the physician: such an entry knows it, by what its author had seen. What
   * this device has sent again of the physician's own is as old as what it stands for. */
  #writtenSince({ head, steps }: OpenRecord, { past, again }: Lost): string | null {
    const me = this.#work.session.physician
    const since = steps.filter(({ entry: { kind, seq, seen } }) => {
      const hash = steps[seq + 1]?.entry.prev ?? head.hash
      const made = this.#here.find((own) => equal(own.hash, hash))?.again
      return kind === "write" && seen.size > past.kept && (made === undefined || order(made, again) > 0)
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
    this.#here = await own.here()
    for (const own of this.#here) this.#noteMove(own)
  }

  /** Takes in what was sent and had no answer, and lets go of what was refused. */
  #noteRecent(): void {
    const recent = new Map(this.#work.session.kept.own.recent.map((own) => [keyOf(own), own]))
    const here = this.#here.filter((own) => own.leaf !== undefined || recent.has(keyOf(own)))
    for (const own of here) recent.delete(keyOf(own))
    for (const own of recent.values()) this.#noteMove(own)
    this.#here = [...here, ...recent.values()]
  }

  /** Where a device cannot let go of what is there, the next run finds that it is. */
  #done(former: Former, entries: readonly OwnEntry[]): Promise<void> {
    return this.#work.session.kept.done(former, entries).catch(() => {})
  }

  #noteMove({ record, again }: OwnEntry): void {
    if (again !== undefined && again.record !== record) this.#moved.set(again.record, record)
  }

  #targetOf(record: RecordId): RecordId {
    const next = this.#moved.get(record)
    return next === undefined ? record : this.#targetOf(next)
  }
}

type Writable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer Item)[] ? Item[] : T[K] }

/** By when the physician wrote them. */
function order(a: Again, b: Again): number {
  return a.restores - b.restores || a.seq - b.seq
}

/** An entry as one of the log that it is sent in now. */
function unheard({ leaf: _, ...own }: OwnEntry, again: Again): OwnEntry {
  return { ...own, again }
}

function isDeflated(own: OwnEntry): boolean {
  return (sentOf(own).body?.length ?? 0) < (own.body?.length ?? 0)
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
