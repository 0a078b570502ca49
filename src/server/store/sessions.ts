import { sha256 } from "#sha256"
import type { Db } from "./connection.ts"
import type { StoreContext } from "./context.ts"
import { noStatement } from "./log-rows.ts"
import { prepare } from "./prepared.ts"
import type { SessionRow } from "./schema.ts"
import type { NewSession, SessionStore } from "./store.ts"

export function sessionStore({ reader, writer }: StoreContext): SessionStore {
  const byToken = prepare<Pick<SessionRow, "token_hash">, SessionRow>((p) =>
    reader.selectFrom("session").selectAll().where("token_hash", "=", p.token_hash),
  )
  return {
    startSession: (session, act) =>
      writer.write(async (batch) => {
        await insertSession(batch.db, session)
        const number = await batch.nextAct(session.physician)
        batch.addLeaf({
          subject: session.physician,
          stream: "act",
          number,
          type: act,
          actor: session.physician,
          statementHash: noStatement,
        })
      }),

    async findSession(tokenHash) {
      const row = (await byToken(reader, { token_hash: tokenHash })).rows[0]
      if (row === undefined) return null
      const { id, physician, half, carrier, created, touched, expires, proven } = row
      return { id, physician, tokenHash, half, carrier, created, touched, expires, proven }
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

    purgeSessions: (now, touchedBefore) =>
      writer.write(async ({ db }) => {
        await db
          .deleteFrom("session")
          .where((e) => e.or([e("expires", "<=", now), e("touched", "<=", touchedBefore)]))
          .execute()
      }),
  }
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
