import { sql } from "kysely"
import { equal } from "../../encoding/bytes.ts"
import type { PhysicianId, RecordId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import { noStatement } from "../../proof/leaf.ts"
import { type Signed, statementHash } from "../../proof/statement.ts"
import { selfGrantsAtMost } from "../../protocol/records.ts"
import type { Db } from "./connection.ts"
import type { StoreContext } from "./context.ts"
import type { Batch } from "./group-commit.ts"
import { selfGrantWriter } from "./memberships.ts"
import { prepare } from "./prepared.ts"
import type { SelfGrantRow } from "./schema.ts"
import type { SharingStore } from "./store.ts"

interface Mine {
  readonly record: RecordId
  readonly physician: PhysicianId
}

/** Former ones that stay of each epoch of a record: should the newest not open. */
const formerAtMost = selfGrantsAtMost - 1

type GivenGrant = Omit<SelfGrantRow, "physician" | "record"> & { readonly prev: Uint8Array | undefined }

/** Stores self-grants, and accepts the records that they complete. */
export function selfGrantStore({
  reader,
  writer,
  charge,
}: StoreContext): Pick<SharingStore, "putSelfGrants" | "selfGrants" | "whoAccepted" | "whoIsSuspended"> {
  const put = selfGrantWriter(reader)
  const membership = prepare<Mine & { time: number }, { accepted: number | null; epoch: number }>((p) =>
    reader
      .selectFrom("member")
      .innerJoin("record", "record.id", "member.record")
      .innerJoin("entry", (join) =>
        join.onRef("entry.record", "=", "record.id").onRef("entry.seq", "=", "record.head_seq"),
      )
      .select(["member.accepted", "entry.epoch"])
      .where("member.record", "=", p.record)
      .where("member.physician", "=", p.physician)
      .where("member.role", "is not", null)
      .where((e) => e.or([e("member.until", "is", null), e("member.until", ">", p.time)])),
  )
  const held = prepare<Mine, { epochs: number }>((p) =>
    reader
      .selectFrom("self_grant")
      .select((e) => e.fn.countAll<number>().as("epochs"))
      .where("physician", "=", p.physician)
      .where("record", "=", p.record),
  )
  const accept = prepare<Mine & { leaf: number }>((p) =>
    reader
      .updateTable("member")
      .set({ accepted: p.leaf, removed: sql<null>`null` })
      .where("record", "=", p.record)
      .where("physician", "=", p.physician),
  )

  /** Takes the place of the one that the item names. @returns whether it was not there already. @throws CONFLICT_EXISTS where another is */
  const replace = async ({ db, time }: Batch, row: SelfGrantRow, prev: Uint8Array): Promise<boolean> => {
    const stored = await db
      .selectFrom("self_grant")
      .selectAll()
      .where("physician", "=", row.physician)
      .where("record", "=", row.record)
      .where("epoch", "=", row.epoch)
      .executeTakeFirst()
    // Sent again because its first answer was lost.
    if (stored !== undefined && equal(stored.token_sha256, row.token_sha256)) return false
    if (stored === undefined || !equal(stored.token_sha256, prev)) throw new AppError("CONFLICT_EXISTS")
    await db
      .insertInto("replaced_self_grant")
      .values({ ...stored, replaced: time })
      .onConflict((conflict) =>
        conflict.columns(["physician", "record", "epoch", "token_sha256"]).doUpdateSet({ replaced: time }),
      )
      .execute()
    await db
      .updateTable("self_grant")
      .set({ token: row.token, token_sha256: row.token_sha256, signed: row.signed })
      .where("physician", "=", row.physician)
      .where("record", "=", row.record)
      .where("epoch", "=", row.epoch)
      .execute()
    await dropOld(db, stored)
    return true
  }

  /** @returns how many replaced one, and whether this accepted the record; whose physician is no member, nothing is stored of it */
  const store = async (batch: Batch, physician: PhysicianId, record: RecordId, given: readonly GivenGrant[]) => {
    let replaced = 0
    const mine = (await membership(batch.db, { record, physician, time: batch.time })).rows[0]
    if (mine === undefined) return { accepted: false, replaced }
    for (const { prev, ...grant } of given) {
      if (grant.epoch > mine.epoch) throw new AppError("BAD_INPUT_FORMAT", "The record has no such epoch.")
      if (prev === undefined) await put(batch.db, { physician, record, ...grant })
      else if (await replace(batch, { physician, record, ...grant }, prev)) replaced++
    }
    if (mine.accepted !== null) return { accepted: false, replaced }
    const epochs = Number((await held(batch.db, { physician, record })).rows[0]?.epochs)
    if (epochs <= mine.epoch) return { accepted: false, replaced }
    const leaf = batch.addLeaf({
      subject: record,
      stream: "act",
      number: await batch.nextAct(record),
      type: "accept",
      actor: physician,
      statementHash: noStatement,
    })
    await accept(batch.db, { record, physician, leaf: leaf.index })
    return { accepted: true, replaced }
  }

  return {
    async whoAccepted(record) {
      const query = reader.selectFrom("member").select("physician").where("record", "=", record)
      const rows = await query.where("accepted", "is not", null).execute()
      return new Set(rows.map(({ physician }) => physician))
    },
    async whoIsSuspended(record) {
      const members = reader.selectFrom("member").innerJoin("physician", "physician.id", "member.physician")
      const query = members.select("physician.id").where("member.record", "=", record)
      const rows = await query.where("physician.suspended", "is not", null).execute()
      return rows.map(({ id }) => id)
    },
    putSelfGrants: (physician, { account, signed, tokens }) =>
      writer.write(async (batch) => {
        await putStatement(batch.db, physician, signed)
        const given = account.items.map(({ subject, number, prev, hash }, i) => ({
          record: subject as RecordId,
          grant: { epoch: number, token: tokens[i]!, token_sha256: hash, signed: account.statementHash, prev },
        }))
        const accepted: RecordId[] = []
        let replaced = 0
        for (const [record, rows] of Map.groupBy(given, (one) => one.record)) {
          const grants = rows.map(({ grant }) => grant)
          const stored = await store(batch, physician, record, grants)
          if (stored.accepted) accepted.push(record)
          replaced += stored.replaced
        }
        const bytes = tokens.reduce((sum, token) => sum + token.length, signed.statement.length)
        // Replacing writes no leaf, and is no less work.
        await charge(batch.db, physician, { bytes, leaves: accepted.length + replaced }, batch.time)
        return accepted
      }),
    async selfGrants(physician, record, epoch) {
      const newest = reader.selectFrom("self_grant").select("token").where("physician", "=", physician)
      const former = reader.selectFrom("replaced_self_grant").select("token").where("physician", "=", physician)
      const rows = await Promise.all([
        newest.where("record", "=", record).where("epoch", "=", epoch).execute(),
        former
          .where("record", "=", record)
          .where("epoch", "=", epoch)
          .orderBy("replaced", "desc")
          .limit(formerAtMost)
          .execute(),
      ])
      return rows.flat().map(({ token }) => token)
    },
  }
}

/** Of one epoch the one that was just replaced stays, and those that were replaced last before it. */
async function dropOld(db: Db, { physician, record, epoch, token_sha256 }: SelfGrantRow): Promise<void> {
  const former = db
    .selectFrom("replaced_self_grant")
    .select("token_sha256")
    .where("physician", "=", physician)
    .where("record", "=", record)
    .where("epoch", "=", epoch)
    .where("token_sha256", "!=", token_sha256)
    .orderBy("replaced", "desc")
  const stay = (await former.limit(formerAtMost - 1).execute()).map((row) => row.token_sha256)
  await db
    .deleteFrom("replaced_self_grant")
    .where("physician", "=", physician)
    .where("record", "=", record)
    .where("epoch", "=", epoch)
    .where("token_sha256", "not in", [token_sha256, ...stay])
    .execute()
}

/** The very same statement, sent again, is there already. */
async function putStatement(db: Db, physician: PhysicianId, { statement, signature }: Signed): Promise<void> {
  await db
    .insertInto("account_statement")
    .values({ physician, statement, statement_sha256: statementHash(statement), signature })
    .onConflict((conflict) => conflict.columns(["physician", "statement_sha256"]).doNothing())
    .execute()
}
