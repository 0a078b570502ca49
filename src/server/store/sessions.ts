import { sha256 } from "#sha256"
import type { PhysicianId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import { type LeafType, noStatement } from "../../proof/leaf.ts"
import type { Db } from "./connection.ts"
import type { StoreContext } from "./context.ts"
import type { Batch } from "./group-commit.ts"
import { prepare } from "./prepared.ts"
import type { PhysicianRow, SessionRow } from "./schema.ts"
import type { NewSession, SessionStore, StoredSession } from "./store.ts"

export function sessionStore({ reader, writer, charge }: StoreContext): SessionStore {
  const withState = reader
    .selectFrom("session")
    .innerJoin("physician", "physician.id", "session.physician")
    .selectAll("session")
    .select("physician.suspended")
  const byToken = prepare<Pick<SessionRow, "token_hash">, JoinedRow>((p) =>
    withState.where("token_hash", "=", p.token_hash),
  )
  const byPage = prepare<Pick<SessionRow, "page_hash">, JoinedRow>((p) =>
    withState.where("page_hash", "=", p.page_hash),
  )
  return {
    startSession: (session, act) =>
      writer.write(async (batch) => {
        await insertSession(batch.db, session)
        await charge(batch.db, session.physician, { bytes: 0, leaves: 1 }, batch.time)
        await addAct(batch, session.physician, act)
      }),

    async findSession(tokenHash) {
      const row = (await byToken(reader, { token_hash: tokenHash })).rows[0]
      return row === undefined ? null : stored(row)
    },

    async findPageSession(pageHash) {
      const row = (await byPage(reader, { page_hash: pageHash })).rows[0]
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
      const mine = withState.where("session.physician", "=", physician)
      const rows = await mine.orderBy("session.created", "desc").orderBy("session.id").execute()
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
        // Each of them was counted when it began: whoever has to end one now is not kept from it.
        await charge(batch.db, physician, { bytes: 0, leaves: 1 }, batch.time, "always")
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

type JoinedRow = SessionRow & Pick<PhysicianRow, "suspended">

function stored(row: JoinedRow): StoredSession {
  const { token_hash: tokenHash, page_hash: pageHash, suspended, ...rest } = row
  const { id, physician, half, carrier, created, touched, expires, proven } = rest
  const known = { id, physician, tokenHash, pageHash, half, carrier, created, touched, expires, proven }
  return { ...known, suspended: suspended !== null }
}

/** A session begins proven: only a log-in, a recovery or a registration starts one. @throws NOT_ALLOWED_SUSPENDED */
export async function insertSession(db: Db, session: NewSession): Promise<void> {
  const owner = db.selectFrom("physician").select("suspended").where("id", "=", session.physician)
  if ((await owner.executeTakeFirstOrThrow()).suspended !== null) throw new AppError("NOT_ALLOWED_SUSPENDED")
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
      page_hash: session.pageHash,
    })
    .execute()
}
