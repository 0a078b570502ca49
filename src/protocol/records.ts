import { z } from "zod"
import { concat, u32be } from "../encoding/bytes.ts"
import type { PhysicianId } from "../encoding/ids.ts"
import { limits } from "../encoding/limits.ts"
import { AppError } from "../errors.ts"
import { accountItemsAtMost } from "../proof/account-statement.ts"
import { moment, type Signed } from "../proof/statement.ts"
import { accountSigned } from "./accounts.ts"
import { hashes, inclusion, leafInfo, logState, receipt, setProof, since } from "./log.ts"
import { bytes, count, countText, id, token } from "./wire.ts"

/** A body of 16 MiB, framed, padded and sealed. */
const bodyBytes = 19 * 1024 * 1024
const summaryBytes = 1024 * 1024
const bodyToken = bytes(bodyBytes)
const summaryToken = bytes(summaryBytes)
/** Leaves that one answer holds. */
export const leavesAtMost = 16_384
/** Entries of a record that one answer holds. */
export const entriesAtMost = 2000

const statement = bytes(65_536)
const signature = bytes(64)

/** enc ‖ ct of one grant: docs/formats/grant.md. A joiner's holds a key for every epoch. */
const grantToken = bytes(65_536)
const selfGrantBytes = 256
/** Of one epoch of a record: the newest, and ten former ones. */
export const selfGrantsAtMost = 11
const selfGrantToken = bytes(selfGrantBytes)

/** One entry to append. CONFLICT_HEAD unless the statement's `prev` is the record's head. `selfGrant`, the author's own, goes with
 * whatever begins an epoch; `grants` are the very ones whose hashes the statement lists. */
export const appendEntry = {
  params: z.object({ record: id<"record">() }),
  body: z.strictObject({
    statement,
    signature,
    body: token("padded", bodyBytes).optional(),
    summary: token("padded", summaryBytes).optional(),
    selfGrant: token("key", selfGrantBytes).optional(),
    grants: z
      .array(z.strictObject({ recipient: id<"physician">(), grant: grantToken }))
      .max(limits.members)
      .optional(),
    since,
  }),
  reply: receipt,
}

/** Ids of physicians in a query string. */
const ids = z.codec(z.string().max(limits.members * 23), z.array(id<"physician">()).max(limits.members), {
  decode: (text) => text.split(",").filter((part) => part !== "") as PhysicianId[],
  encode: (list) => list.join(),
})

const storedEntry = z.object({
  statement,
  signature,
  body: bodyToken.optional(),
  summary: summaryToken.optional(),
  /** The caller's own, where this entry granted them keys. */
  grant: grantToken.optional(),
  leaf: leafInfo,
})

/** A larger body comes by itself: see {@link readBody}. */
export const bodyApartBytes = 256 * 1024

/** A stretch of a record's chain, from `from` on, cut at about 8 MiB; `more` says that the head is not reached. Who is invited may
 * read it too. With bodies comes the stretch's newest summary alone, and no large body, and none of those physicians who stand in `without`,
 * ids with commas between them. `bodies=0` leaves all bodies out: what is needed to verify the chain, and to open the newest summary. So much, up to
 * the end of their membership, a former member may read again: it is how they verify that it has ended. */
export const readEntries = {
  params: z.object({ record: id<"record">() }),
  query: z.object({
    from: countText,
    since: countText,
    bodies: z.enum(["0", "1"]).default("1"),
    without: ids.default([]),
  }),
  reply: z.object({
    entries: z.array(storedEntry).max(entriesAtMost),
    more: z.boolean(),
    /** Proves the leaves of all these entries to be under `log.checkpoint`: the hashes of `setRanges`. */
    inclusion: setProof(entriesAtMost),
    /** The caller's self-grants of the epochs of these entries. */
    selfGrants: z.array(z.object({ epoch: count, token: selfGrantToken })),
    log: logState,
  }),
}

/** The body of one entry as bytes (application/octet-stream), for members. */
export const readBody = {
  params: z.object({ record: id<"record">(), seq: countText }),
  maxBytes: bodyBytes,
}

/** Leaves [from, next) of the log, 64 B each, and the complete subtrees left and right of them: `subtrees({from: 0, to: from})` and
 * `subtrees({from: next, to: size})` of the checkpoint's tree. Empty where from ≥ next. */
const leaves = z.object({ data: bytes(leavesAtMost * 64), left: hashes, right: hashes })

/** Leaves of the practice's log from `from` up to, not including, `to`, or as many as one answer holds. */
export const readLeaves = {
  query: z.object({ from: countText, to: countText, pinned: countText }),
  reply: z.object({ leaves, next: count, log: logState }),
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
    /** Records that the caller accepted in this stretch, with the `accept` leaf: its place, and its number among the record's acts. */
    accepted: z.array(z.object({ record: id<"record">(), number: count, leaf: leafInfo })),
    /** The leaves [since, next). */
    leaves,
    /** Ask from here next time: one past the last leaf that was looked at. */
    next: count,
    more: z.boolean(),
    /** The server's clock, milliseconds since 1970: a membership that was given until then has ended, whatever the client's own says. */
    time: moment,
    log: logState,
  }),
}

/** Re-seals granted keys as the caller's own: one account statement over all of them, and their tokens in its order. One that is stored
 * stays, unless its item names it as what it replaces. A record that the caller was invited to is accepted once every epoch has its
 * self-grant: that writes an `accept` leaf. A record that the caller is no member of is left out. */
export const putSelfGrants = {
  body: z.strictObject({
    signed: accountSigned,
    tokens: z.array(token("key", selfGrantBytes)).min(1).max(accountItemsAtMost),
  }),
  /** Says no more than that it was done. */
  reply: z.object({}),
}

/** The caller's self-grants of one epoch of a record, the newest first, and those last replaced after it: asked for where one does not
 * open. */
export const readSelfGrants = {
  params: z.object({ record: id<"record">() }),
  query: z.object({ epoch: countText }),
  reply: z.object({ tokens: z.array(selfGrantToken).max(selfGrantsAtMost) }),
}

/** Invitations are counted so far: whoever has an account can send any number. */
export const waitingAtMost = 1000

/** Records that name the caller as a member and that they have neither accepted nor left: the entry that invited them last, in the
 * log's order, and what an owner may have changed it to since. Where `from` names physicians it is what those sent; else it is the newest
 * that others sent than those in `without`, in one answer. The client believes none of it before it has verified the chain. */
export const readInvitations = {
  query: z.object({ since: countText, limit: countText, from: ids.default([]), without: ids.default([]) }),
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
    /** How many wait, of those that were asked for and looked at: `waitingAtMost` are so many at least. */
    waiting: count,
    next: count,
    more: z.boolean(),
  }),
}

/** Which of a record's members have accepted it, or opened it, and whose accounts are suspended. This is the server's word. */
export const readAccepted = {
  params: z.object({ record: id<"record">() }),
  reply: z.object({ accepted: z.array(id<"physician">()), suspended: z.array(id<"physician">()).default([]) }),
}

/** What the log says of a record, or of the caller's own account, newest first: leaves with an index below `before`. */
export const readActivity = {
  params: z.object({ record: id<"record">() }),
  query: z.object({ before: countText, limit: countText, pinned: countText }),
  reply: z.object({
    leaves: z.array(
      z.object({
        ...leafInfo.shape,
        stream: z.enum(["entry", "identity", "keyring", "act", "succession"]),
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
/** A segment's token. */
export const segmentMaxBytes = 4 * 1024 * 1024
/** A segment is sent as bytes (application/octet-stream): u32be length of the account statement, the statement, its signature (64 B), the
 * token. */
export const segmentBody = {
  maxBytes: segmentMaxBytes + 4 + limits.statementBytes + 64,
  encode: ({ statement, signature }: Signed, sealed: Uint8Array) =>
    concat(u32be(statement.length), statement, signature, sealed),
  /** @throws BAD_INPUT_STATEMENT for what is too short: version 0.2 sent the token alone */
  parse(body: Uint8Array): { signed: Signed; token: Uint8Array } {
    const length = body.length < 4 ? 0 : new DataView(body.buffer, body.byteOffset).getUint32(0)
    const at = 4 + length
    if (length === 0 || length > limits.statementBytes || body.length < at + 64)
      throw new AppError("BAD_INPUT_STATEMENT")
    const signed = { statement: body.subarray(4, at), signature: body.subarray(at, at + 64) }
    return { signed, token: body.subarray(at + 64) }
  },
}
/** All of the caller's segments in one answer (application/octet-stream): 16 B id, u32be length, token; again and again. */
export const segmentsType = "application/octet-stream"

/** What every refused request is answered with. */
export const refusal = z.object({
  code: z.string(),
  message: z.string(),
  fields: z.record(z.string(), z.string()).optional(),
})
