import { z } from "zod"
import { bytes, count, hash } from "./wire.ts"

const proof = z.array(hash).max(64)

/** Where a leaf stands and what only its subject's physicians are told about it. The rest of the leaf the reader knows. */
export const leafInfo = z.object({ index: count, time: count, salt: bytes(16) })

/** The log's newest signed checkpoint, and the proof that the tree the client named with `since` is a prefix of it. */
export const logState = z.object({ checkpoint: z.string().max(16_384), consistency: proof })

/** What a write is acknowledged with: the leaf is in the log whose checkpoint follows. */
export const receipt = z.object({ leaf: leafInfo, inclusion: proof, log: logState })

/** The size of the tree that the client has pinned; 0 where it has none. */
export const since = count

export type LeafInfo = z.output<typeof leafInfo>
export type LogState = z.output<typeof logState>
export type Receipt = z.output<typeof receipt>
export const inclusion = proof
