import { paths } from "../../protocol/paths.ts"
import { readAccepted, readActivity } from "../../protocol/records.ts"
import { demandMember } from "../access.ts"
import { type Api, type RouteContext, sessionOf, signedIn } from "./context.ts"

/** What happened with a record, for its members, and with the caller's own account. */
export function activityRoutes(app: Api, { store, sessions, turns, now }: RouteContext): void {
  const { params, query, reply } = readActivity

  app.get(
    paths.recordActivity,
    { ...signedIn(sessions), schema: { params, querystring: query, response: { 200: reply } } },
    async (request) => {
      const { record } = request.params
      const { before, limit, pinned } = request.query
      const { physician } = sessionOf(request)
      demandMember(await store.chainHead(record), physician, now())
      return turns.take(physician, () => store.recordActivity(record, before, limit, pinned))
    },
  )

  app.get(
    paths.accepted,
    { ...signedIn(sessions), schema: { params: readAccepted.params, response: { 200: readAccepted.reply } } },
    async (request) => {
      const { record } = request.params
      demandMember(await store.chainHead(record), sessionOf(request).physician, now())
      return { accepted: [...(await store.whoAccepted(record))], suspended: await store.whoIsSuspended(record) }
    },
  )

  app.get(
    paths.activity,
    { ...signedIn(sessions), schema: { querystring: query, response: { 200: reply } } },
    async (request) => {
      const { before, limit, pinned } = request.query
      const { physician } = sessionOf(request)
      return turns.take(physician, () => store.accountActivity(physician, before, limit, pinned))
    },
  )
}
