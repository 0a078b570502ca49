import { sha256 } from "#sha256"
import type { PhysicianId } from "../../encoding/ids.ts"
import type { LeafType } from "../../proof/leaf.ts"
import type { Db } from "./connection.ts"
import type { StoreContext } from "./context.ts"
import type { Batch } from "./group-commit.ts"
import { noStatement } from "./log-rows.ts"
import { prepare } from "./prepared.ts"
import type { SessionRow } from "./schema.ts"
import type { NewSession, SessionStore, StoredSession } from "./store.ts"

export function sessionStore({ reader, writer }: StoreContext): SessionStore {
  const byToken = prepare<Pick<SessionRow, "token_hash">, SessionRow>((p) =>
    reader.selectFrom("session").selectAll().where("token_hash", "=", p.token_hash),
  )
  return {
    startSession: (session, act) =>
      writer.write(async (batch) => {
        await insertSession(batch.db, session)
        await addAct(batch, session.physician, act)
      }),

    async findSession(tokenHash) {
      const row = (await byToken(reader, { token_hash: tokenHash })).rows[0]
      return row === undefined ? null : stored(row)
    },

    touchSession: (id, time) =>
      writer.write(async ({ db }) => {
        await db.updateTable("session").set({ touched: time }).where("id", "=", id).execute()
      }),

    dropHalf: (id) =>
      writer.write(async ({ db }) => {
        await db.updateTable("session").set({ half: null, half_sha256: null }).where("id", "=", id).execute()
      }),

    endSession: (id) =>
      writer.write(async ({ db }) => {
        await db.deleteFrom("session").where("id", "=", id).execute()
      }),

    async sessionsOf(physician) {
      const rows = await reader
        .selectFrom("session")
        .selectAll()
        .where("physician", "=", physician)
        .orderBy("created", "desc")
        .orderBy("id")
        .execute()
      return rows.map(stored)
    },

    endSessionOf: (physician, id) =>
      writer.write(async (batch) => {
        const { numDeletedRows } = await batch.db
          .deleteFrom("session")
          .where("id", "=", id)
          .where("physician", "=", physician)
          .executeTakeFirst()
        if (numDeletedRows !== 1n) return false
        await addAct(batch, physician, "end-session")
        return true
      }),

    purgeSessions: (now, touchedBefore) =>
      writer.write(async ({ db }) => {
        await db
          .deleteFrom("session")
          .where((e) => e.or([e("expires", "<=", now), e("touched", "<=", touchedBefore)]))
          .execute()
      }),
  }
}

/** Something that a physician did to their own account. */
async function addAct(batch: Batch, physician: PhysicianId, type: LeafType): Promise<void> {
  const number = await batch.nextAct(physician)
  batch.addLeaf({ subject: physician, stream: "act", number, type, actor: physician, statementHash: noStatement })
}

function stored(row: SessionRow): StoredSession {
  const { token_hash: tokenHash, id, physician, half, carrier, created, touched, expires, proven } = row
  return { id, physician, tokenHash, half, carrier, created, touched, expires, proven }
}

/** A session begins proven: only a log-in, a recovery or a registration starts one. */
export async function insertSession(db: Db, session: NewSession): Promise<void> {
  await db
    .insertInto("session")
    .values({
      token_hash: session.tokenHash,
      id: session.id,
      physician: session.physician,
      half: session.half,
      half_sha256: session.half === null ? null : sha256(session.half),
      created: session.created,
      touched: session.created,
      expires: session.expires,
      proven: session.created,
      carrier: session.carrier,
    })
    .execute()
}
