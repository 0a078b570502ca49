import { randomBytes } from "node:crypto"
import { CompiledQuery } from "kysely"
import type { Id } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import { type Leaf, leafData } from "../../proof/leaf.ts"
import type { LeafInfo } from "../../protocol/log.ts"
import type { SignCheckpoint } from "../deps.ts"
import type { Db } from "./connection.ts"
import { type LogRows, logRows } from "./log-rows.ts"
import type { StorageState } from "./storage-state.ts"
import type { Tree } from "./tree.ts"

/** What happened, for the log: the server adds time and salt. */
type LogEvent = Omit<Leaf, "time" | "salt">

/** What a piece of work does its writing with. */
export interface Batch {
  /** The batch's transaction. */
  readonly db: Db
  /** The server's clock, milliseconds. */
  readonly time: number
  /** Adds a leaf in the same transaction. */
  addLeaf(event: LogEvent): LeafInfo
  /** The number of a subject's next `act` leaf. */
  nextAct(subject: Id): Promise<number>
}

export type Work<T> = (batch: Batch) => Promise<T>

const savepoint = CompiledQuery.raw("savepoint work")
const release = CompiledQuery.raw("release work")
const rollback = CompiledQuery.raw("rollback to work")
const checkpoint = CompiledQuery.raw("pragma wal_checkpoint(truncate)")
const largestBatch = 256

interface Job {
  readonly work: Work<unknown>
  readonly done: (answer: unknown) => void
  readonly refused: (cause: unknown) => void
}

type Outcome = { readonly answer: unknown } | { readonly refusal: unknown }

/** Commits writes that arrive together in one transaction, and answers each only when it is durable. A work that throws is rolled
 * back to where it began and refused alone; the others go on. */
export class GroupCommit {
  readonly #db: Db
  readonly #tree: Tree
  readonly #sign: SignCheckpoint
  readonly #now: () => number
  readonly #rows: LogRows
  readonly #state: Pick<StorageState, "refused" | "took">
  #waiting: Job[] = []
  #loop: Promise<void> | null = null
  #closed = false

  /** @param state is told what the storage takes and what it refuses. */
  constructor(
    db: Db,
    tree: Tree,
    sign: SignCheckpoint,
    now: () => number,
    state: Pick<StorageState, "refused" | "took"> = { refused: () => {}, took: () => {} },
  ) {
    this.#state = state
    this.#db = db
    this.#tree = tree
    this.#sign = sign
    this.#now = now
    this.#rows = logRows(db)
  }

  /** @returns what the work returned, once it is durable.
   * @throws what the work threw; UNAVAILABLE, UNAVAILABLE_STORAGE when the batch could not be committed. */
  write<T>(work: Work<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new AppError("UNAVAILABLE"))
    return new Promise<T>((done, refused) => {
      this.#waiting.push({ work, done: done as Job["done"], refused })
      this.#loop ??= this.#run()
    })
  }

  /** Clears the write-ahead log away, as far as nobody reads in it: afterwards what was overwritten lies nowhere. Where it cannot be done
   * now, the next one does it. */
  async checkpoint(): Promise<void> {
    await this.#loop
    await this.#db.executeQuery(checkpoint).catch(() => {})
  }

  /** Takes no more work and waits for what was taken. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#loop
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      // Whatever this turn of the event loop still brings comes along.
      await new Promise((next) => setImmediate(next))
      const jobs = this.#waiting.splice(0, largestBatch)
      let outcomes: Outcome[]
      try {
        outcomes = await this.#commit(jobs)
      } catch (cause) {
        outcomes = jobs.map(() => ({ refusal: storageError(cause) }))
      }
      if (outcomes.some((one) => "refusal" in one && isRefusal(one.refusal))) this.#state.refused()
      jobs.forEach((job, i) => {
        const outcome = outcomes[i]!
        if ("answer" in outcome) job.done(outcome.answer)
        else job.refused(outcome.refusal)
      })
    }
    this.#loop = null
  }

  async #commit(jobs: readonly Job[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    const growth = await this.#db.transaction().execute(async (db) => {
      const batch = new OpenBatch(db, this.#tree.state.size, this.#now())
      for (const job of jobs) outcomes.push(await attempt(batch, job.work))
      if (batch.leaves.length === 0) return null
      const data = batch.leaves.map(leafData)
      const grown = this.#tree.grow(data, this.#sign)
      await this.#rows.insertLeaves(db, this.#tree.state.size, batch.leaves, data)
      await this.#rows.insertNodes(db, grown.nodes)
      await this.#rows.putCheckpoint(db, grown.state.note)
      return grown
    })
    if (growth !== null) {
      this.#tree.publish(growth)
      this.#state.took()
    }
    return outcomes
  }
}

class OpenBatch implements Batch {
  readonly db: Db
  readonly time: number
  readonly leaves: Leaf[] = []
  readonly #base: number

  constructor(db: Db, base: number, time: number) {
    this.db = db
    this.#base = base
    this.time = time
  }

  addLeaf(event: LogEvent): LeafInfo {
    const salt = new Uint8Array(randomBytes(16))
    this.leaves.push({ ...event, time: this.time, salt })
    return { index: this.#base + this.leaves.length - 1, time: this.time, salt }
  }

  async nextAct(subject: Id): Promise<number> {
    const here = this.leaves.findLast((leaf) => leaf.stream === "act" && leaf.subject === subject)
    if (here !== undefined) return here.number + 1
    const last = await this.db
      .selectFrom("leaf")
      .select((e) => e.fn.max("number").as("number"))
      .where("subject", "=", subject)
      .where("stream", "=", "act")
      .executeTakeFirst()
    return typeof last?.number === "number" ? last.number + 1 : 0
  }
}

async function attempt(batch: OpenBatch, work: Work<unknown>): Promise<Outcome> {
  const mark = batch.leaves.length
  await batch.db.executeQuery(savepoint)
  try {
    const answer = await work(batch)
    await batch.db.executeQuery(release)
    return { answer }
  } catch (cause) {
    try {
      await batch.db.executeQuery(rollback)
      await batch.db.executeQuery(release)
    } catch {
      // SQLite has given up the transaction, and with it the whole batch.
      throw cause
    }
    batch.leaves.length = mark
    return { refusal: storageError(cause) }
  }
}

/** SQLite's primary result codes for a disk that is full, failing or read-only. Source: sqlite.org/rescode.html */
const storageCodes = new Set([8, 10, 13, 14])

export function isStorageCode(cause: unknown): boolean {
  return cause instanceof Error && "errcode" in cause && storageCodes.has(Number(cause.errcode) & 0xff)
}

function storageError(cause: unknown): AppError {
  if (cause instanceof AppError) return cause
  return new AppError(isStorageCode(cause) ? "UNAVAILABLE_STORAGE" : "UNAVAILABLE", undefined, { cause })
}

function isRefusal(cause: unknown): boolean {
  return cause instanceof AppError && cause.code === "UNAVAILABLE_STORAGE"
}
