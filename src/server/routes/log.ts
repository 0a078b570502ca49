import { AppError } from "../../errors.ts"
import { readSuccessions } from "../../protocol/log.ts"
import { paths } from "../../protocol/paths.ts"
import { readLeaves, readPrefixes } from "../../protocol/records.ts"
import { type Api, type RouteContext, signedIn } from "./context.ts"

/** What the log proves about itself. */
export function logRoutes(app: Api, { store, sessions }: RouteContext): void {
  app.get(
    paths.leaves,
    { ...signedIn(sessions), schema: { querystring: readLeaves.query, response: { 200: readLeaves.reply } } },
    async ({ query: { from, to, pinned } }) => store.readLeaves(from, to, pinned),
  )

  app.get(
    paths.successions,
    { schema: { querystring: readSuccessions.query, response: { 200: readSuccessions.reply } } },
    ({ query: { since } }) => store.successions(since),
  )

  app.post(
    paths.prefixes,
    { ...signedIn(sessions), schema: { body: readPrefixes.body, response: { 200: readPrefixes.reply } } },
    async ({ body: { to, sizes } }) => {
      if (to > store.treeHead().size || sizes.some((size) => size > to)) throw new AppError("BAD_INPUT_FORMAT")
      return { proofs: await store.prefixes(sizes, to) }
    },
  )
}
