import { z } from "zod"
import { inclusion, leafInfo, logState, receipt, since } from "./log.ts"
import { bytes, count, countText, id } from "./wire.ts"

/** A body of 16 MiB, framed, padded and sealed. */
const bodyToken = bytes(19 * 1024 * 1024)
const summaryToken = bytes(1024 * 1024)
const statement = bytes(65_536)
const signature = bytes(64)

/** One entry to append. CONFLICT_HEAD unless the statement's `prev` is the record's head. `selfGrant` goes with `open`. */
export const appendEntry = {
  params: z.object({ record: id<"record">() }),
  body: z.strictObject({
    statement,
    signature,
    body: bodyToken.optional(),
    summary: summaryToken.optional(),
    selfGrant: bytes(256).optional(),
    since,
  }),
  reply: receipt,
}

const storedEntry = z.object({
  statement,
  signature,
  body: bodyToken.optional(),
  summary: summaryToken.optional(),
  leaf: leafInfo,
})

/** A stretch of a record's chain, from `from` on, cut at about 8 MiB; `more` says that the head is not reached. */
export const readEntries = {
  params: z.object({ record: id<"record">() }),
  query: z.object({ from: countText, since: countText }),
  reply: z.object({
    entries: z.array(storedEntry),
    more: z.boolean(),
    /** Inclusion proof of the head's leaf under `log.checkpoint`; empty while `more`. */
    inclusion,
    /** The caller's self-grants for this record. */
    selfGrants: z.array(z.object({ epoch: count, token: bytes(256) })),
    log: logState,
  }),
}

/** Everything appended to the caller's records at leaf index `since` or later, in the log's order, without bodies. */
export const readChanges = {
  query: z.object({ since: countText, limit: countText, pinned: countText }),
  reply: z.object({
    entries: z.array(
      z.object({
        record: id<"record">(),
        statement,
        signature,
        summary: summaryToken.optional(),
        leaf: leafInfo,
        /** Inclusion proof, where this entry is its record's head. */
        inclusion: inclusion.optional(),
        /** The caller's self-grant, where this entry began an epoch: enough to rebuild a roster. */
        selfGrant: bytes(256).optional(),
      }),
    ),
    /** Ask from here next time: one past the last leaf that was looked at. */
    next: count,
    more: z.boolean(),
    log: logState,
  }),
}

/** Says that a record was read or exported: an `act` leaf, once per record, physician and session for reads. */
export const act = {
  params: z.object({ record: id<"record">() }),
  body: z.strictObject({ act: z.enum(["read", "export"]) }),
}

export const segmentParams = z.object({ segment: id<"segment">() })
/** A roster segment is sent and stored as raw token bytes (application/octet-stream). */
export const segmentMaxBytes = 4 * 1024 * 1024
/** All of the caller's segments in one answer (application/octet-stream): 16 B id, u32be length, token; again and again. */
export const segmentsType = "application/octet-stream"

/** What every refused request is answered with. */
export const refusal = z.object({
  code: z.string(),
  message: z.string(),
  fields: z.record(z.string(), z.string()).optional(),
})
