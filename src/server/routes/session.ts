import { currentSession } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { countText } from "../../protocol/wire.ts"
import { describe } from "../sessions.ts"
import { type Api, type RouteContext, sessionOf, signedIn } from "./context.ts"

/** The session that a request already has: standing up again after a reload, locking, signing out. */
export function sessionRoutes(app: Api, { store, sessions }: RouteContext): void {
  app.get(
    paths.session,
    { ...signedIn(sessions), schema: { querystring: currentSession.query, response: { 200: currentSession.reply } } },
    async (request) => {
      const session = sessionOf(request)
      const since = countText.decode(request.query.since ?? "0")
      return { ...(await store.account(session.physician, since)), session: describe(session) }
    },
  )

  app.delete(paths.session, signedIn(sessions), async (request, reply) => {
    await sessions.end(sessionOf(request).id)
    sessions.clearCookie(reply)
    return reply.code(204).send()
  })

  app.delete(paths.sessionHalf, signedIn(sessions), async (request, reply) => {
    await store.dropHalf(sessionOf(request).id)
    return reply.code(204).send()
  })
}
