import { sql } from "kysely"
import { sha256 } from "#sha256"
import { equal } from "../../encoding/bytes.ts"
import { AppError } from "../../errors.ts"
import { statementHash } from "../../proof/statement.ts"
import type { StoreContext } from "./context.ts"
import type { SegmentStore } from "./store.ts"

const segmentsAtMost = 1024
/** Twice what the rosters of a practice's 100,000 patients take, old and new at once. */
const bytesAtMost = 96 * 1024 * 1024

export function segmentStore({ reader, writer, charge }: StoreContext): SegmentStore {
  return {
    async *segments(physician) {
      const mine = reader.selectFrom("segment").where("physician", "=", physician)
      for (const { id } of await mine.select("id").orderBy("id").execute()) {
        const segment = await mine.select(["id", "token"]).where("id", "=", id).executeTakeFirst()
        // Another device may have dropped it meanwhile.
        if (segment !== undefined) yield segment
      }
    },

    async putSegment(physician, { id, token, signed }) {
      const hash = sha256(token)
      await writer.write(async ({ db, time }) => {
        const stored = await db
          .selectFrom("segment")
          .select(["physician", "token_sha256"])
          .where("id", "=", id)
          .executeTakeFirst()
        if (stored !== undefined) {
          if (stored.physician === physician && equal(stored.token_sha256, hash)) return
          throw new AppError("CONFLICT_EXISTS")
        }
        const { count, bytes } = await db
          .selectFrom("segment")
          .select((e) => [e.fn.countAll<number>().as("count"), sql<number | null>`sum(length(token))`.as("bytes")])
          .where("physician", "=", physician)
          .executeTakeFirstOrThrow()
        if (count >= segmentsAtMost || (bytes ?? 0) + token.length > bytesAtMost) throw new AppError("BAD_INPUT_SIZE")
        const { statement, signature } = signed
        await charge(db, physician, { bytes: token.length }, time)
        await db
          .insertInto("segment")
          .values({
            id,
            physician,
            token,
            token_sha256: hash,
            created: time,
            statement,
            statement_sha256: statementHash(statement),
            signature,
          })
          .execute()
      })
    },
  }
}
