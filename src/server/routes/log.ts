import { AppError } from "../../errors.ts"
import { paths } from "../../protocol/paths.ts"
import { readPrefixes } from "../../protocol/records.ts"
import { type Api, type RouteContext, signedIn } from "./context.ts"

/** What the log proves about itself. */
export function logRoutes(app: Api, { store, sessions }: RouteContext): void {
  app.post(
    paths.prefixes,
    { ...signedIn(sessions), schema: { body: readPrefixes.body, response: { 200: readPrefixes.reply } } },
    async ({ body: { to, sizes } }) => {
      if (to > store.treeHead().size || sizes.some((size) => size > to)) throw new AppError("BAD_INPUT_FORMAT")
      return { proofs: await store.prefixes(sizes, to) }
    },
  )
}
