import { paths } from "../../protocol/paths.ts"
import { eventsType } from "../../protocol/records.ts"
import { type Api, type RouteContext, sessionOf, signedInBehind } from "./context.ts"

/** Server-sent events, for as long as the session lasts. Listening does not keep it alive. */
export function eventRoutes(app: Api, { sessions, watchers }: RouteContext): void {
  app.get(paths.events, { ...signedInBehind(sessions), exposeHeadRoute: false }, async (request, reply) => {
    const session = sessionOf(request)
    const stream = watchers.watch(session.physician, () => sessions.goesOn(session))
    return reply.type(eventsType).header("x-accel-buffering", "no").send(stream)
  })

  // Before the server waits for what is in flight: these would never come to an end.
  app.addHook("preClose", async () => watchers.close())
}
