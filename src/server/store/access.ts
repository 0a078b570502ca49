import type { PhysicianId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import { noStatement } from "../../proof/leaf.ts"
import type { Db } from "./connection.ts"
import type { StoreContext } from "./context.ts"
import type { Batch } from "./group-commit.ts"
import type { AccessStore } from "./store.ts"

/** Who can sign up, and who can do nothing for now. Each act of whoever runs the server is a leaf of type `admin`. */
export function accessStore({ reader, writer, practice, now }: StoreContext): AccessStore {
  const addAct = async (batch: Batch, subject: PhysicianId | typeof practice): Promise<void> => {
    const number = await batch.nextAct(subject)
    batch.addLeaf({ subject, stream: "act", number, type: "admin", actor: practice, statementHash: noStatement })
  }

  /** @throws NOT_ALLOWED where nobody has this username. @returns null where nothing is to be done */
  const find = async (db: Db, username: string, suspended: boolean): Promise<PhysicianId | null> => {
    const query = db.selectFrom("physician").select(["id", "suspended"]).where("username", "=", username)
    const found = await query.executeTakeFirst()
    if (found === undefined) throw new AppError("NOT_ALLOWED", "Nobody here has this username. Check its spelling.")
    return (found.suspended !== null) === suspended ? null : found.id
  }

  return {
    invite: (codeHash, expires) =>
      writer.write(async (batch) => {
        await batch.db.deleteFrom("invite").where("expires", "<=", batch.time).execute()
        await batch.db.insertInto("invite").values({ code_hash: codeHash, created: batch.time, expires }).execute()
        await addAct(batch, practice)
      }),

    async isInvited(codeHash) {
      const query = reader.selectFrom("invite").select("expires").where("code_hash", "=", codeHash)
      return ((await query.executeTakeFirst())?.expires ?? 0) > now()
    },

    async openInvites() {
      const query = reader.selectFrom("invite").select(["created", "expires"]).where("expires", ">", now())
      return query.orderBy("created").execute()
    },

    accounts: () =>
      reader
        .selectFrom("physician")
        .select((e) => [
          "physician.username",
          "physician.created",
          "physician.suspended",
          e
            .selectFrom("leaf")
            .select("leaf.time")
            .whereRef("leaf.subject", "=", "physician.id")
            .where("leaf.stream", "=", "act")
            .where("leaf.type", "in", ["sign-in", "recover"])
            .orderBy("leaf.number", "desc")
            .limit(1)
            .as("lastSignIn"),
        ])
        .orderBy("physician.username")
        .execute(),

    suspend: (username) =>
      writer.write(async (batch) => {
        const physician = await find(batch.db, username, true)
        if (physician === null) return null
        await batch.db.updateTable("physician").set({ suspended: batch.time }).where("id", "=", physician).execute()
        // The rows stay until they are too old, so that whoever comes with one is told why it is over. Their halves go now.
        const halves = batch.db.updateTable("session").set({ half: null, half_sha256: null })
        await halves.where("physician", "=", physician).execute()
        await addAct(batch, physician)
        return physician
      }),

    resume: (username) =>
      writer.write(async (batch) => {
        const physician = await find(batch.db, username, false)
        if (physician === null) return null
        await batch.db.updateTable("physician").set({ suspended: null }).where("id", "=", physician).execute()
        // What was ended stays so.
        await batch.db.deleteFrom("session").where("physician", "=", physician).execute()
        await addAct(batch, physician)
        return physician
      }),
  }
}

/** Uses a code up. @throws NOT_ALLOWED_INVITATION where there is none, or no more */
export async function spendInvite(db: Db, codeHash: string, time: number): Promise<void> {
  const used = db.deleteFrom("invite").where("code_hash", "=", codeHash).where("expires", ">", time)
  if ((await used.executeTakeFirst()).numDeletedRows !== 1n) throw new AppError("NOT_ALLOWED_INVITATION")
}
