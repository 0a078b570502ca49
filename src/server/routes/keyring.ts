import { getKeyring, putKeyring } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { type Api, jsonLimit, type RouteContext, sessionOf, signedIn } from "./context.ts"

const largest = jsonLimit(1_048_576)

/** The sealed keyring, compare-and-swap on its number. */
export function keyringRoutes(app: Api, { store, sessions }: RouteContext): void {
  app.get(paths.keyring, { ...signedIn(sessions), schema: { response: { 200: getKeyring.reply } } }, async (request) =>
    store.keyring(sessionOf(request).physician),
  )

  app.put(
    paths.keyring,
    {
      ...signedIn(sessions),
      schema: { body: putKeyring.body, response: { 200: putKeyring.reply } },
      bodyLimit: largest,
    },
    async (request) => {
      const { number, token, since } = request.body
      return store.putKeyring(sessionOf(request).physician, number, token, since)
    },
  )
}
