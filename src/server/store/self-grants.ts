import { sql } from "kysely"
import { sha256 } from "#sha256"
import type { PhysicianId, RecordId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import type { StoreContext } from "./context.ts"
import type { Batch } from "./group-commit.ts"
import { noStatement } from "./log-rows.ts"
import { selfGrantWriter } from "./memberships.ts"
import { prepare } from "./prepared.ts"
import type { SelfGrants, SharingStore } from "./store.ts"

interface Mine {
  readonly record: RecordId
  readonly physician: PhysicianId
}

/** Stores self-grants, and accepts the records that they complete. */
export function selfGrantStore({ reader, writer }: StoreContext): Pick<SharingStore, "putSelfGrants" | "whoAccepted"> {
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

  /** @returns whether this accepted the record; whose physician is no member, nothing is stored of it */
  const store = async (batch: Batch, physician: PhysicianId, { record, selfGrants }: SelfGrants) => {
    const mine = (await membership(batch.db, { record, physician, time: batch.time })).rows[0]
    if (mine === undefined) return false
    for (const { epoch, token } of selfGrants) {
      if (epoch > mine.epoch) throw new AppError("BAD_INPUT_FORMAT", "The record has no such epoch.")
      await put(batch.db, { physician, record, epoch, token, token_sha256: sha256(token) })
    }
    if (mine.accepted !== null) return false
    const epochs = Number((await held(batch.db, { physician, record })).rows[0]?.epochs)
    if (epochs <= mine.epoch) return false
    const leaf = batch.addLeaf({
      subject: record,
      stream: "act",
      number: await batch.nextAct(record),
      type: "accept",
      actor: physician,
      statementHash: noStatement,
    })
    await accept(batch.db, { record, physician, leaf: leaf.index })
    return true
  }

  return {
    async whoAccepted(record) {
      const query = reader.selectFrom("member").select("physician").where("record", "=", record)
      const rows = await query.where("accepted", "is not", null).execute()
      return new Set(rows.map(({ physician }) => physician))
    },
    putSelfGrants: (physician, records) =>
      writer.write(async (batch) => {
        const accepted: RecordId[] = []
        for (const given of records) if (await store(batch, physician, given)) accepted.push(given.record)
        return accepted
      }),
  }
}
