import { z } from "zod"
import { concat } from "../encoding/bytes.ts"
import { anyBytes, moment } from "../proof/statement.ts"
import { bytes, count, countText } from "./wire.ts"

const longestProof = 64

/** Hashes, 32 B each, travel as one byte string: reading sixteen texts costs more than verifying them. */
function hashList(most: number) {
  return z.codec(bytes(most * 32), z.array(anyBytes), {
    decode: (joined, context) => {
      if (joined.length % 32 === 0)
        return Array.from({ length: joined.length / 32 }, (_, i) => joined.subarray(i * 32, i * 32 + 32))
      context.issues.push({ code: "custom", message: "not a list of hashes", input: joined })
      return z.NEVER
    },
    encode: (hashes) => concat(...hashes) as Uint8Array,
  })
}

const proof = hashList(longestProof)

/** Where a leaf stands and what only its subject's physicians are told about it. The rest of the leaf the reader knows. */
export const leafInfo = z.object({ index: count, time: moment, salt: bytes(16) })

/** The log's newest signed checkpoint, and the proof that the tree the client named with `since` is a prefix of it. */
export const logState = z.object({ checkpoint: z.string().max(16_384), consistency: proof })

/** What a write is acknowledged with: the leaf is in the log whose checkpoint follows. */
export const receipt = z.object({ leaf: leafInfo, inclusion: proof, log: logState })

/** How the practice's log goes on from former ones, oldest first, each with the proofs that this log holds the leaves that were kept and,
 * after them, the one that binds the statement. For everybody. */
export const readSuccessions = {
  query: z.object({ since: countText }),
  reply: z.object({
    successions: z
      .array(
        z.object({
          statement: bytes(4096),
          signature: bytes(64),
          leaf: leafInfo,
          inclusion: proof,
          /** From the tree that was kept. */
          consistency: proof,
        }),
      )
      .max(1024),
    log: logState,
  }),
}

/** The size of the tree that the client has pinned; 0 where it has none. */
export const since = count

export type LeafInfo = z.output<typeof leafInfo>
export type LogState = z.output<typeof logState>
export type Receipt = z.output<typeof receipt>
export const inclusion = proof
/** A list of hashes, such as a proof or the subtrees beside a stretch of leaves. */
export const hashes = proof
/** Proves up to so many leaves at once: see `setRanges`. */
export const setProof = (leaves: number) => hashList(leaves * longestProof)
