import { z } from "zod"
import { limits } from "../encoding/limits.ts"
import { moment } from "../proof/statement.ts"
import { hashes, inclusion, leafInfo, logState, receipt, since } from "./log.ts"
import { bytes, count, countText, id } from "./wire.ts"

/** A body of 16 MiB, framed, padded and sealed. */
const bodyToken = bytes(19 * 1024 * 1024)
const summaryToken = bytes(1024 * 1024)
/** Leaves that one answer holds. */
export const leavesAtMost = 16_384

const statement = bytes(65_536)
const signature = bytes(64)

/** enc ‖ ct of one grant: docs/formats/grant.md. A joiner's holds a key for every epoch. */
const grantToken = bytes(65_536)
const selfGrantToken = bytes(256)

/** One entry to append. CONFLICT_HEAD unless the statement's `prev` is the record's head. `selfGrant`, the author's own, goes with
 * whatever begins an epoch; `grants` are the very ones whose hashes the statement lists. */
export const appendEntry = {
  params: z.object({ record: id<"record">() }),
  body: z.strictObject({
    statement,
    signature,
    body: bodyToken.optional(),
    summary: summaryToken.optional(),
    selfGrant: selfGrantToken.optional(),
    grants: z
      .array(z.strictObject({ recipient: id<"physician">(), grant: grantToken }))
      .max(limits.members)
      .optional(),
    since,
  }),
  reply: receipt,
}

const storedEntry = z.object({
  statement,
  signature,
  body: bodyToken.optional(),
  summary: summaryToken.optional(),
  /** The caller's own, where this entry granted them keys. */
  grant: grantToken.optional(),
  leaf: leafInfo,
})

/** A stretch of a record's chain, from `from` on, cut at about 8 MiB; `more` says that the head is not reached. Who is invited may
 * read it too. `bodies=0` leaves the bodies out: what is needed to verify the chain, and to open the newest summary. So much, up to
 * the end of their membership, a former member may read again: it is how they verify that it has ended. */
export const readEntries = {
  params: z.object({ record: id<"record">() }),
  query: z.object({ from: countText, since: countText, bodies: z.enum(["0", "1"]).default("1") }),
  reply: z.object({
    entries: z.array(storedEntry),
    more: z.boolean(),
    /** Inclusion proof of the head's leaf under `log.checkpoint`; empty while `more`. */
    inclusion,
    /** The caller's self-grants for this record. */
    selfGrants: z.array(z.object({ epoch: count, token: selfGrantToken })),
    log: logState,
  }),
}

/** Everything appended to the caller's records at leaf index `since` or later, in the log's order, without bodies: the records that
 * they opened or accepted, and of one that they were removed from all up to the entry that did so. With it comes the data of every leaf
 * of the practice in that stretch, so that nothing can be left out unseen. */
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
        /** The caller's self-grant, where this entry began an epoch: enough to rebuild a roster. */
        selfGrant: selfGrantToken.optional(),
        /** The caller's grant, where this entry granted them keys and no self-grant is stored for its epoch. */
        grant: grantToken.optional(),
      }),
    ),
    /** Records that the caller accepted in this stretch, with the index of the `accept` leaf. */
    accepted: z.array(z.object({ record: id<"record">(), leaf: count })),
    /** The leaves [since, next), 64 B each, and the complete subtrees left and right of them: `subtrees({from: 0, to: since})` and
     * `subtrees({from: next, to: size})` of the checkpoint's tree. Empty where since ≥ next. */
    leaves: z.object({ data: bytes(leavesAtMost * 64), left: hashes, right: hashes }),
    /** Ask from here next time: one past the last leaf that was looked at. */
    next: count,
    more: z.boolean(),
    /** The server's clock, milliseconds since 1970: a membership that was given until then has ended, whatever the client's own says. */
    time: moment,
    log: logState,
  }),
}

/** Re-seals granted keys as the caller's own. A record that the caller was invited to is accepted once every epoch has its self-grant:
 * that writes an `accept` leaf. A record that the caller is no member of is left out. */
export const putSelfGrants = {
  body: z.strictObject({
    records: z
      .array(
        z.strictObject({
          record: id<"record">(),
          selfGrants: z
            .array(z.strictObject({ epoch: count, token: selfGrantToken }))
            .min(1)
            .max(4096),
        }),
      )
      .min(1)
      .max(256),
  }),
  /** Says no more than that it was done. */
  reply: z.object({}),
}

/** Records that name the caller as a member and that they have neither accepted nor left: the entry that invited them last, in the
 * log's order, and what an owner may have changed it to since. The client believes none of it before it has verified the chain. */
export const readInvitations = {
  query: z.object({ since: countText, limit: countText }),
  reply: z.object({
    invitations: z.array(
      z.object({
        record: id<"record">(),
        statement,
        signature,
        leaf: leafInfo,
        grant: grantToken,
        role: z.enum(["owner", "writer", "reader"]),
        until: moment.optional(),
      }),
    ),
    /** How many wait altogether. */
    waiting: count,
    next: count,
    more: z.boolean(),
  }),
}

/** Which of a record's members have accepted it, or opened it. This is the server's word. */
export const readAccepted = {
  params: z.object({ record: id<"record">() }),
  reply: z.object({ accepted: z.array(id<"physician">()) }),
}

/** What the log says of a record, or of the caller's own account, newest first: leaves with an index below `before`. */
export const readActivity = {
  params: z.object({ record: id<"record">() }),
  query: z.object({ before: countText, limit: countText, pinned: countText }),
  reply: z.object({
    leaves: z.array(
      z.object({
        ...leafInfo.shape,
        stream: z.enum(["entry", "identity", "keyring", "act"]),
        type: z.string().max(32),
        number: count,
        actor: id<"physician">(),
        statementHash: bytes(32),
        inclusion,
      }),
    ),
    more: z.boolean(),
    log: logState,
  }),
}

/** That earlier trees are prefixes of the tree of size `to`: what an entry's author had seen. */
export const readPrefixes = {
  body: z.strictObject({ to: count, sizes: z.array(count).min(1).max(1000) }),
  reply: z.object({ proofs: z.array(hashes) }),
}

/** Server-sent events: `event: changes` when something was appended to one of the caller's records, or an invitation came, was accepted
 * or taken back. It carries nothing: the client pulls. A comment line keeps it open every 20 seconds. */
export const eventsType = "text/event-stream"

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
