import { AppError } from "../../errors.ts"
import { verifyIdentity } from "../../proof/identity.ts"
import { checkPublicKey } from "../../proof/signature.ts"
import { registerFinish, registerStart } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { demandListed, refusing } from "../statements.ts"
import { type Api, jsonLimit, type RouteContext } from "./context.ts"

const largest = jsonLimit(65_536 + 65_536 + 1_048_576 + 8192)

/** Making a physician: OPAQUE's registration, identity 0, two ways to unlock, profile, keyring 0, and a session. */
export function registerRoutes(app: Api, { store, sessions, opaque }: RouteContext): void {
  app.post(
    paths.registerStart,
    { schema: { body: registerStart.body, response: { 200: registerStart.reply } } },
    async ({ body }) => {
      if (await store.usernameTaken(body.username)) throw new AppError("CONFLICT_USERNAME")
      return { registrationResponse: opaque.respond(body.username, body.registrationRequest) }
    },
  )

  app.post(
    paths.registerFinish,
    { schema: { body: registerFinish.body, response: { 200: registerFinish.reply } }, bodyLimit: largest },
    async ({ body }, reply) => {
      const { physician, username, unlocks, recoveryKey } = body
      const identity = await refusing(verifyIdentity(null, body.identity))
      if (identity.physician !== physician || identity.username !== username) throw new AppError("BAD_INPUT_STATEMENT")
      if (unlocks.some(({ method, generation }) => !["password", "recovery"].includes(method) || generation !== 0))
        throw new AppError("BAD_INPUT_STATEMENT")
      demandListed(identity, unlocks)
      checkPublicKey(recoveryKey)
      const session = sessions.fresh(physician, body.carrier)
      const receipts = await store.register(
        {
          physician,
          username,
          opaqueRecord: body.registrationRecord,
          identity: body.identity,
          unlocks,
          recoveryKey,
          profile: body.profile,
          keyring: body.keyring,
        },
        session.row,
      )
      const account = await store.account(physician, 0)
      return { account: { ...account, session: sessions.hand(session, reply) }, ...receipts }
    },
  )
}
