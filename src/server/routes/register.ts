import { AppError } from "../../errors.ts"
import { verifyIdentity } from "../../proof/identity.ts"
import { checkPublicKey } from "../../proof/signature.ts"
import { registerFinish, registerStart } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { type Attempt, GuessLimit, guessLimits } from "../guess-limit.ts"
import { Pending } from "../pending.ts"
import { demandListed, refusing } from "../statements.ts"
import { type Api, demandAttempt, jsonLimit, type RouteContext } from "./context.ts"

const largest = jsonLimit(65_536 + 16_384 + 16_384 + 8192)

interface SignUp {
  readonly username: string
  readonly attempt: Attempt
}

/** Making a physician: OPAQUE's registration, identity 0, two ways to unlock, profile, keyring 0, and a session. */
export function registerRoutes(app: Api, { store, sessions, opaque, now }: RouteContext): void {
  const limit = new GuessLimit(now)
  const pending = new Pending<SignUp>(guessLimits.attemptMs, now)

  app.post(
    paths.registerStart,
    { schema: { body: registerStart.body, response: { 200: registerStart.reply } } },
    async ({ body: { username, registrationRequest }, ip }, reply) => {
      // Each answer tells what one password would become: whoever only collects them is slowed down like a guesser.
      const attempt = demandAttempt(limit.begin(username, ip), reply)
      if (await store.usernameTaken(username)) {
        attempt.fail()
        throw new AppError("CONFLICT_USERNAME")
      }
      const registration = pending.put({ username, attempt })
      return { registration, registrationResponse: opaque.respond(username, registrationRequest) }
    },
  )

  app.post(
    paths.registerFinish,
    { schema: { body: registerFinish.body, response: { 200: registerFinish.reply } }, bodyLimit: largest },
    async (request, reply) => {
      const { body } = request
      const { physician, username, unlocks, recoveryKey } = body
      const signUp = pending.find(body.registration)
      if (signUp === null || signUp.username !== username) throw new AppError("UNAVAILABLE")
      const identity = await refusing(verifyIdentity(null, body.identity))
      if (identity.physician !== physician || identity.username !== username) throw new AppError("BAD_INPUT_STATEMENT")
      if (unlocks.some(({ method, generation }) => !["password", "recovery"].includes(method) || generation !== 0))
        throw new AppError("BAD_INPUT_STATEMENT")
      demandListed(identity, unlocks)
      checkPublicKey(recoveryKey)
      const session = sessions.fresh(physician, body.carrier)
      // A client whose connection broke sends the same again within the minute: it is told what it missed.
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
      signUp.attempt.succeed()
      const account = await store.account(physician)
      await sessions.endReplaced(request, session)
      return { account: { ...account, session: sessions.hand(session, reply) }, ...receipts }
    },
  )
}
