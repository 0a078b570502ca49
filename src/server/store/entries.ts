import { equal } from "../../encoding/bytes.ts"
import type { Id, PhysicianId, RecordId, SessionId } from "../../encoding/ids.ts"
import { limits } from "../../encoding/limits.ts"
import { AppError } from "../../errors.ts"
import { sameKeys } from "../../proof/chain.ts"
import { encodeChainHead } from "../../proof/chain-head.ts"
import { type Member, parseEntry } from "../../proof/entry.ts"
import { noStatement } from "../../proof/leaf.ts"
import { ChainHeads } from "./chain-heads.ts"
import type { Db } from "./connection.ts"
import type { StoreContext } from "./context.ts"
import type { Batch } from "./group-commit.ts"
import { leafAt } from "./log-rows.ts"
import { membershipWriter } from "./memberships.ts"
import { prepare } from "./prepared.ts"
import type { Charge } from "./quota.ts"
import { type Epochs, type Reach, readStretch } from "./reading.ts"
import type { EntryRow, RecordRow } from "./schema.ts"
import type { EntryStore, ReadStretch, VerifiedEntry } from "./store.ts"

export function entryStore({
  reader,
  writer,
  tree,
  practice,
  charge,
}: StoreContext): Omit<EntryStore, "readChanges" | "readLeaves"> {
  const heads = new ChainHeads(reader)
  const append = appender(reader, heads, charge)
  return {
    chainHead: (record) => heads.find(record),

    async append(entry) {
      // In the log records and the practice are subjects alike.
      if ((entry.head.record as Id) === practice) throw new AppError("CONFLICT_EXISTS")
      try {
        return await tree.receipt(await writer.write((batch) => append(batch, entry)), entry.since)
      } catch (error) {
        // The same entry, sent twice because its first answer was late, may have overtaken itself.
        const head =
          error instanceof AppError && error.code === "CONFLICT_HEAD" ? await heads.find(entry.head.record) : null
        if (head === null || !equal(head.hash, entry.head.hash)) throw error
        return tree.receipt(await leafAt(reader, head.record, "entry", head.seq), entry.since)
      }
    },

    async receiptAgain(head, since) {
      return tree.receipt(await leafAt(reader, head.record, "entry", head.seq), since)
    },

    async readEntries(physician, stretch) {
      const state = tree.state
      const read = await reader.transaction().execute(async (db) => {
        const { epochs, ...page } = await readStretch(
          db,
          physician,
          stretch,
          await reachOf(db, physician, stretch, state.size),
        )
        return { ...page, selfGrants: await selfGrantsOf(db, physician, stretch.record, epochs) }
      })
      const indexes = read.entries.map(({ leaf }) => leaf.index)
      return { ...read, inclusion: await tree.setProof(indexes, state), log: await tree.logState(stretch.since, state) }
    },

    async readBody(physician, record, seq, now) {
      return reader.transaction().execute(async (db) => {
        const { size } = await reachOf(db, physician, { record, bodies: true, now }, tree.state.size)
        const row = await db
          .selectFrom("entry")
          .select("body")
          .where("record", "=", record)
          .where("seq", "=", seq)
          .where("leaf", "<", size)
          .executeTakeFirst()
        return row?.body ?? null
      })
    },

    recordAct: (physician, session, record, act) =>
      writer.write(async (batch) => {
        if (act === "read" && !(await markRead(batch.db, session, record))) return
        await charge(batch.db, physician, { bytes: 0, acts: 1 }, batch.time)
        batch.addLeaf({
          subject: record,
          stream: "act",
          number: await batch.nextAct(record),
          type: act,
          actor: physician,
          statementHash: noStatement,
        })
      }),
  }
}

/** Who was removed reads as far as the entry that did so, who had a day until which they belonged as far as its end, and who both as far as what
 * came first: also who was only invited, for they may have accepted it in a log that a restore took back. None of them gets a key: who took one has it from their own seals,
 * and who was only invited has never been given one.
 * @throws NOT_ALLOWED for who never belonged, and for the contents of a record that one belongs to no more */
async function reachOf(
  db: Db,
  physician: PhysicianId,
  { record, bodies, now }: Pick<ReadStretch, "record" | "bodies" | "now">,
  size: number,
): Promise<Reach> {
  const mine = await db
    .selectFrom("member")
    .select(["role", "until", "removed", "invited", "invited_leaf"])
    .where("record", "=", record)
    .where("physician", "=", physician)
    .executeTakeFirst()
  if (mine === undefined) throw new AppError("NOT_ALLOWED")
  const { role, until, removed, invited } = mine
  if (role !== null && (until === null || until > now)) return { size, time: null, grants: true }
  if (bodies) throw new AppError("NOT_ALLOWED")
  if (role !== null) return { size, time: until, grants: false }
  const isNewest = removed !== null && removed > mine.invited_leaf
  const last = isNewest ? removed : ((await takenBack(db, physician, record, invited)) ?? removed)
  if (last === null) throw new AppError("NOT_ALLOWED")
  return { size: Math.min(size, last + 1), time: until, grants: false }
}

/** The leaf of the entry by which somebody is no member who was invited by the one with number `invited`, and never again since; `null` where
 * there is none. Every list from there on is without them, so halving finds it. */
async function takenBack(db: Db, physician: PhysicianId, record: RecordId, invited: number): Promise<number | null> {
  const lists = await db
    .selectFrom("entry")
    .select("seq")
    .where("record", "=", record)
    .where("kind", "=", "members")
    .where("seq", ">", invited)
    .orderBy("seq")
    .execute()
  let found: number | null = null
  for (let low = 0, high = lists.length - 1; low <= high; ) {
    const middle = (low + high) >>> 1
    const { leaf, statement } = await db
      .selectFrom("entry")
      .select(["leaf", "statement"])
      .where("record", "=", record)
      .where("seq", "=", lists[middle]!.seq)
      .executeTakeFirstOrThrow()
    if (parseEntry(statement).members?.some((one) => one.physician === physician)) low = middle + 1
    else {
      found = leaf
      high = middle - 1
    }
  }
  return found
}

type NewHead = RecordRow & { before: Uint8Array }

/** Compare-and-swap on the record's head, the entry, and its leaf. */
function appender(db: Db, heads: ChainHeads, charge: Charge) {
  const physicianOf = prepare<{ id: Id }>((p) =>
    db
      .selectFrom("physician")
      .select("id")
      .where("id", "=", p.id as PhysicianId),
  )
  const insertRecord = prepare<RecordRow>((p) =>
    db
      .insertInto("record")
      .values({ id: p.id, head_seq: p.head_seq, head_hash: p.head_hash, head_leaf: p.head_leaf, chain: p.chain })
      .onConflict((conflict) => conflict.column("id").doNothing()),
  )
  const moveHead = prepare<NewHead>((p) =>
    db
      .updateTable("record")
      .set({ head_seq: p.head_seq, head_hash: p.head_hash, head_leaf: p.head_leaf, chain: p.chain })
      .where("id", "=", p.id)
      .where("head_hash", "=", p.before),
  )
  const insertEntry = prepare<EntryRow>((p) =>
    db.insertInto("entry").values({
      record: p.record,
      seq: p.seq,
      author: p.author,
      kind: p.kind,
      epoch: p.epoch,
      statement: p.statement,
      statement_sha256: p.statement_sha256,
      signature: p.signature,
      leaf: p.leaf,
      summary: p.summary,
      summary_sha256: p.summary_sha256,
      body: p.body,
      body_sha256: p.body_sha256,
    }),
  )

  const putMembers = membershipWriter(db)

  return async (batch: Batch, given: VerifiedEntry) => {
    const { entry, before, signed } = given
    const { record, author, seq } = entry
    const hash = given.head.hash
    const used = { bytes: sizeOf(given), records: before === null ? 1 : 0, leaves: 1 }
    await charge(batch.db, author, used, batch.time)
    await demandRoom(batch.db, given)
    // In the log records and physicians are subjects alike: an id is one of either.
    if (before === null && (await physicianOf(batch.db, { id: record })).rows.length > 0)
      throw new AppError("CONFLICT_EXISTS")
    const leaf = batch.addLeaf({
      subject: record,
      stream: "entry",
      number: seq,
      type: "entry",
      actor: author,
      statementHash: hash,
    })
    const head = { ...given.head, leaf: leaf.index }
    const chain = encodeChainHead(head)
    heads.keep(record, chain, head)
    const row = {
      id: record,
      head_seq: seq,
      head_hash: hash,
      head_leaf: leaf.index,
      chain,
    }
    const moved =
      before === null ? await insertRecord(batch.db, row) : await moveHead(batch.db, { ...row, before: before.hash })
    if (moved.numAffectedRows !== 1n) throw new AppError("CONFLICT_HEAD")
    await insertEntry(batch.db, {
      record,
      seq,
      author,
      kind: entry.kind,
      epoch: entry.epoch,
      statement: signed.statement,
      statement_sha256: hash,
      signature: signed.signature,
      leaf: leaf.index,
      summary: given.summary ?? null,
      summary_sha256: entry.summary?.hash ?? null,
      body: given.body ?? null,
      body_sha256: entry.body?.hash ?? null,
    })
    if (entry.members !== undefined) await putMembers(batch.db, given, leaf.index)
    return leaf
  }
}

/** Whoever opens a record verifies every entry of it, so each author may add so many. A new member is given the key of every epoch, so that
 * one author must not begin as many as a grant holds. What takes members out, and gives nothing else to
 * anybody, is always taken: a record must not become one whose members stay for ever.
 * @throws BAD_INPUT_ENTRIES */
async function demandRoom(db: Db, { entry, before }: VerifiedEntry): Promise<void> {
  const { kind, seq, record, author, members } = entry
  if (before === null) return
  const isOwner = before.members.some(({ physician, role }) => physician === author && role === "owner")
  const mostChanges = isOwner ? limits.storedOwnerEntries : limits.storedMemberEntries
  const most = kind === "members" ? mostChanges : limits.storedEntries
  if (seq < most) return
  if (members !== undefined && onlyRemoves(before.members, members)) return
  const { count } = await db
    .selectFrom("entry")
    .select((e) => e.fn.countAll<number>().as("count"))
    .where("record", "=", record)
    .where("author", "=", author)
    .where("kind", kind === "members" ? "=" : "!=", "members")
    .executeTakeFirstOrThrow()
  if (Number(count) >= most) throw new AppError("BAD_INPUT_ENTRIES")
}

function onlyRemoves(before: readonly Member[], after: readonly Member[]): boolean {
  const stays = (member: Member) =>
    before.some((old) => sameKeys(old, member) && old.role === member.role && old.until === member.until)
  return after.length < before.length && after.every(stays)
}

/** What an entry stores, in bytes. */
function sizeOf({ signed, body, summary, selfGrant, grants }: VerifiedEntry): number {
  const parts = [signed.statement, body, summary, selfGrant, ...grants.map(({ grant }) => grant)]
  return parts.reduce((sum, part) => sum + (part?.length ?? 0), 0)
}

function selfGrantsOf(db: Db, physician: PhysicianId, record: RecordId, { first, last }: Epochs) {
  return db
    .selectFrom("self_grant")
    .select(["epoch", "token"])
    .where("physician", "=", physician)
    .where("record", "=", record)
    .where("epoch", ">=", first)
    .where("epoch", "<=", last)
    .orderBy("epoch")
    .execute()
}

/** @returns whether it is this session's first read of the record. */
async function markRead(db: Db, session: SessionId, record: RecordId): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto("read_mark")
    .columns(["session", "record"])
    // A session that is held in memory has no row to mark.
    .expression((e) =>
      e
        .selectFrom("session")
        .select(["id", e.val(record).as("record")])
        .where("id", "=", session),
    )
    .onConflict((conflict) => conflict.columns(["session", "record"]).doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}
