import type { SegmentId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import { formerAccount, getKeyring, putKeyring, putProfile } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { demandFreshProof } from "../access.ts"
import { demandAccount, demandToken } from "../statements.ts"
import { type Api, jsonLimit, type RouteContext, sessionOf, signedIn } from "./context.ts"

const largest = jsonLimit(1_048_576 + 65_536)

/** The sealed keyring and the sealed profile, compare-and-swap, each with what the physician signed for it; and those before. */
export function keyringRoutes(app: Api, { store, sessions, now }: RouteContext): void {
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
      const { token, signed, since } = request.body
      const { physician } = sessionOf(request)
      const account = await demandAccount(store, physician, "keyring", signed)
      const { number, prev } = demandToken(account, physician, token)
      if (prev === undefined) throw new AppError("CONFLICT_KEYRING")
      const stays = new Set(account.items.slice(1).map(({ subject }) => subject as SegmentId))
      return store.putKeyring({ physician, number, prev, token, signed, stays, since })
    },
  )

  app.put(paths.profile, { ...signedIn(sessions), schema: { body: putProfile.body } }, async (request, reply) => {
    const { token, signed } = request.body
    const { physician } = sessionOf(request)
    const { number, prev } = demandToken(await demandAccount(store, physician, "profile", signed), physician, token)
    if (prev === undefined) throw new AppError("CONFLICT_KEYRING")
    await store.putProfile({ physician, number, prev, token, signed })
    return reply.code(204).send()
  })

  app.get(
    paths.formerAccount,
    { ...signedIn(sessions), schema: { response: { 200: formerAccount.reply } } },
    async (request) => {
      const session = sessionOf(request)
      demandFreshProof(session, now())
      return store.formerAccount(session.physician)
    },
  )
}
