import { equal } from "../../encoding/bytes.ts"
import { statementHash } from "../../proof/statement.ts"
import { paths } from "../../protocol/paths.ts"
import { act, appendEntry, readChanges, readEntries } from "../../protocol/records.ts"
import { demandMember } from "../access.ts"
import { verifyEntry } from "../statements.ts"
import { type Api, jsonLimit, type RouteContext, sessionOf, signedIn } from "./context.ts"

const largest = jsonLimit(19 * 1024 * 1024 + 1024 * 1024 + 65_536)

/** Records: append one entry, read a chain, follow what changes, and say that one was read. */
export function entryRoutes(app: Api, { store, sessions, now }: RouteContext): void {
  app.post(
    paths.entries,
    {
      ...signedIn(sessions),
      schema: { params: appendEntry.params, body: appendEntry.body, response: { 200: appendEntry.reply } },
      bodyLimit: largest,
    },
    async (request) => {
      const { statement, signature, body, summary, selfGrant, since } = request.body
      const { record } = request.params
      const { physician } = sessionOf(request)
      const before = await store.chainHead(record)
      if (before !== null) demandMember(before, physician, now())
      // A client whose connection broke sends the same again: it is told what it missed.
      if (before !== null && equal(before.hash, statementHash(statement))) return store.receiptAgain(before, since)
      const given = { signed: { statement, signature }, body, summary, selfGrant }
      const link = await verifyEntry(store, before, record, physician, given)
      return store.append({ ...link, ...given, before, since })
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
      demandMember(await store.chainHead(record), physician, now())
      return store.readEntries(physician, record, request.query.from, request.query.since)
    },
  )

  app.get(
    paths.changes,
    { ...signedIn(sessions), schema: { querystring: readChanges.query, response: { 200: readChanges.reply } } },
    async (request) => {
      const { since, limit, pinned } = request.query
      return store.readChanges(sessionOf(request).physician, since, limit, pinned)
    },
  )

  app.post(
    paths.acts,
    { ...signedIn(sessions), schema: { params: act.params, body: act.body } },
    async (request, reply) => {
      const { record } = request.params
      const { physician, id } = sessionOf(request)
      demandMember(await store.chainHead(record), physician, now())
      await store.recordAct(physician, id, record, request.body.act)
      return reply.code(204).send()
    },
  )
}
