import { equal } from "../../encoding/bytes.ts"
import type { PhysicianId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import type { ChainHead } from "../../proof/chain.ts"
import { parseEntry } from "../../proof/entry.ts"
import { statementHash } from "../../proof/statement.ts"
import { paths } from "../../protocol/paths.ts"
import { act, appendEntry, readBody, readChanges, readEntries } from "../../protocol/records.ts"
import { demandMember } from "../access.ts"
import { isLarge } from "../in-flight.ts"
import { isFull } from "../store/spare-sessions.ts"
import { verifyEntry } from "../verify-entry.ts"
import { type Api, jsonLimit, type RouteContext, sessionOf, signedIn } from "./context.ts"

/** A body and a summary; what a `members` entry carries instead is smaller. */
const largest = jsonLimit(19 * 1024 * 1024 + 1024 * 1024 + 65_536)

/** Records: append one entry, read a chain, follow what changes, and say that one was read. */
export function entryRoutes(app: Api, { store, sessions, watchers, turns, now }: RouteContext): void {
  app.post(
    paths.entries,
    {
      ...signedIn(sessions),
      // Whoever left may send again what they left with, which is small.
      preParsing: async (request) => {
        const head = isLarge(request) ? await store.chainHead(request.params.record) : null
        if (head !== null) demandMember(head, sessionOf(request).physician, now())
      },
      schema: { params: appendEntry.params, body: appendEntry.body, response: { 200: appendEntry.reply } },
      bodyLimit: largest,
    },
    async (request) => {
      const { statement, signature, body, summary, selfGrant, grants = [], since } = request.body
      const { record } = request.params
      const { physician } = sessionOf(request)
      const before = await store.chainHead(record)
      // A client whose connection broke sends the same again: it is told what it missed, even of how it left the record.
      if (before !== null && isHead(before, statement, physician)) return store.receiptAgain(before, since)
      if (before !== null) demandMember(before, physician, now())
      const given = { signed: { statement, signature }, body, summary, selfGrant, grants }
      const link = await verifyEntry(store, before, record, physician, given)
      const receipt = await store.append({ ...link, ...given, before, since })
      watchers.notify(membersOf(before, link.head))
      return receipt
    },
  )

  app.get(
    paths.entries,
    {
      ...signedIn(sessions),
      schema: { params: readEntries.params, querystring: readEntries.query, response: { 200: readEntries.reply } },
    },
    async (request) => {
      const { record } = request.params
      const { physician } = sessionOf(request)
      const { from, since, bodies, without } = request.query
      const stretch = { record, from, since, bodies: bodies === "1", without, now: now() }
      return turns.take(physician, () => store.readEntries(physician, stretch))
    },
  )

  app.get(paths.body, { ...signedIn(sessions), schema: { params: readBody.params } }, async (request, reply) => {
    const { record, seq } = request.params
    const { physician } = sessionOf(request)
    const body = await turns.take(physician, () => store.readBody(physician, record, seq, now()))
    if (body === null) throw new AppError("NOT_ALLOWED")
    return reply.type("application/octet-stream").send(Buffer.from(body.buffer, body.byteOffset, body.length))
  })

  app.get(
    paths.changes,
    { ...signedIn(sessions), schema: { querystring: readChanges.query, response: { 200: readChanges.reply } } },
    async (request) => {
      const { since, limit, pinned } = request.query
      const { physician } = sessionOf(request)
      return turns.take(physician, () => store.readChanges(physician, since, limit, pinned))
    },
  )

  app.post(
    paths.acts,
    { ...signedIn(sessions), schema: { params: act.params, body: act.body } },
    async (request, reply) => {
      const { record } = request.params
      const { physician, id } = sessionOf(request)
      demandMember(await store.chainHead(record), physician, now())
      // Such a leaf is the server's word: where it cannot be stored, nobody is kept from reading.
      await store.recordAct(physician, id, record, request.body.act).catch((error: unknown) => {
        if (!isFull(error)) throw error
        request.server.log.warn({ act: request.body.act }, "not logged: nothing can be stored")
      })
      return reply.code(204).send()
    },
  )
}

/** Whether a statement is the record's newest, by this author. */
function isHead(head: ChainHead, statement: Uint8Array, author: PhysicianId): boolean {
  return equal(head.hash, statementHash(statement)) && parseEntry(statement).author === author
}

/** Whoever was a member before an entry, or is one after it. */
function membersOf(before: ChainHead | null, after: ChainHead): Set<PhysicianId> {
  return new Set([...(before?.members ?? []), ...after.members].map((member) => member.physician))
}
