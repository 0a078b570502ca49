import { currentSession, otherSessionParams, readSessions } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { describe } from "../sessions.ts"
import { type Api, type RouteContext, sessionOf, signedIn } from "./context.ts"

/** The session that a request already has: standing up again after a reload, locking, signing out; and the
 * physician's others. */
export function sessionRoutes(app: Api, { store, sessions, watchers }: RouteContext): void {
  app.get(
    paths.session,
    { ...signedIn(sessions), schema: { response: { 200: currentSession.reply } } },
    async (request) => {
      const session = sessionOf(request)
      return { ...(await store.account(session.physician)), session: describe(session) }
    },
  )

  app.delete(paths.session, signedIn(sessions), async (request, reply) => {
    await sessions.end(sessionOf(request).id)
    sessions.clearCookie(reply)
    return reply.code(204).send()
  })

  app.get(
    paths.sessions,
    { ...signedIn(sessions), schema: { response: { 200: readSessions.reply } } },
    async (request) => {
      const current = sessionOf(request)
      const all = await sessions.of(current.physician)
      return {
        sessions: all.map(({ id, carrier, created, touched, expires }) => ({
          id,
          carrier,
          created,
          touched,
          expires,
          current: id === current.id,
        })),
      }
    },
  )

  app.delete(
    paths.otherSession,
    { ...signedIn(sessions), schema: { params: otherSessionParams } },
    async (request, reply) => {
      const current = sessionOf(request)
      const { session } = request.params
      await sessions.endOf(current.physician, session)
      // Whoever listens with it asks at once, is refused, and wipes.
      watchers.notify([current.physician])
      if (session === current.id) sessions.clearCookie(reply)
      return reply.code(204).send()
    },
  )

  app.delete(paths.sessionHalf, signedIn(sessions), async (request, reply) => {
    await store.dropHalf(sessionOf(request).id)
    return reply.code(204).send()
  })
}
