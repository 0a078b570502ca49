import type { z } from "zod"
import type { PracticeId } from "../../encoding/ids.ts"
import { logOrigin } from "../../proof/checkpoint.ts"
import { type SignedSuccession, verifySuccessions } from "../../proof/succession.ts"
import type { readSuccessions } from "../../protocol/log.ts"
import type { Db } from "./connection.ts"
import type { Tree } from "./tree.ts"

export type SuccessionsReply = z.output<typeof readSuccessions.reply>

/** How this log came to be, from the practice's first one; empty where it is that. @throws TAMPERED_LOG */
export async function storedSuccessions(db: Db): Promise<SignedSuccession[]> {
  const rows = db.selectFrom("succession").select(["statement", "signature"]).orderBy("number")
  return verifySuccessions(await rows.execute())
}

/** What the log is called now. */
export function originOf(practice: PracticeId, successions: readonly SignedSuccession[]): string {
  return successions.at(-1)?.to.origin ?? logOrigin(practice)
}

export interface SuccessionStore {
  /** The practice's restores, with the proofs that this log holds what they say: the leaves that were kept, and the one that follows. */
  successions(since: number): Promise<SuccessionsReply>
}

export function successionStore(reader: Db, tree: Tree, all: readonly SignedSuccession[]): SuccessionStore {
  return {
    async successions(since) {
      const { state } = tree
      const rows = await reader
        .selectFrom("leaf")
        .select(["idx", "time", "salt"])
        .where("stream", "=", "succession")
        .orderBy("idx")
        .execute()
      const leaves = rows.map(({ idx, time, salt }) => ({ index: idx, time, salt }))
      const inclusions = await tree.inclusions(
        leaves.map(({ index }) => index),
        state,
      )
      const kept = await tree.prefixes(
        all.map(({ kept: { size } }) => size),
        state.size,
      )
      return {
        successions: all.map(({ statement, signature }, i) => ({
          statement,
          signature,
          leaf: leaves[i]!,
          inclusion: inclusions[i]!,
          consistency: kept[i]!,
        })),
        log: await tree.logState(since, state),
      }
    },
  }
}
