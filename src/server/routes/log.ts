import { AppError } from "../../errors.ts"
import { readSuccessions } from "../../protocol/log.ts"
import { paths } from "../../protocol/paths.ts"
import { readLeaves, readPrefixes } from "../../protocol/records.ts"
import { type Api, type RouteContext, sessionOf, signedIn } from "./context.ts"

/** What the log proves about itself. */
export function logRoutes(app: Api, { store, sessions, turns }: RouteContext): void {
  app.get(
    paths.leaves,
    { ...signedIn(sessions), schema: { querystring: readLeaves.query, response: { 200: readLeaves.reply } } },
    async (request) => {
      const { from, to, pinned } = request.query
      return turns.take(sessionOf(request).physician, () => store.readLeaves(from, to, pinned))
    },
  )

  app.get(
    paths.successions,
    { schema: { querystring: readSuccessions.query, response: { 200: readSuccessions.reply } } },
    ({ query: { since } }) => store.successions(since),
  )

  app.post(
    paths.prefixes,
    { ...signedIn(sessions), schema: { body: readPrefixes.body, response: { 200: readPrefixes.reply } } },
    async (request) => {
      const { to, sizes } = request.body
      if (to > store.treeHead().size || sizes.some((size) => size > to)) throw new AppError("BAD_INPUT_FORMAT")
      return { proofs: await turns.take(sessionOf(request).physician, () => store.prefixes(sizes, to)) }
    },
  )
}
