import type { PhysicianId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import { loginAbandon, loginFinish, loginStart } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { type Attempt, guessLimits } from "../guess-limit.ts"
import { Pending } from "../pending.ts"
import { type Api, demandAttempt, type RouteContext } from "./context.ts"

interface Login {
  readonly username: string
  readonly physician: PhysicianId | null
  readonly state: string
  readonly attempt: Attempt
}

/** Log-in by OPAQUE. An unknown username answers like a known one, and fails at the end like a wrong password. */
export function loginRoutes(app: Api, { store, sessions, opaque, guesses, now }: RouteContext): void {
  const pending = new Pending<Login>(guessLimits.attemptMs, now)

  app.post(
    paths.loginStart,
    { schema: { body: loginStart.body, response: { 200: loginStart.reply } } },
    async ({ body, ip }, reply) => {
      const { username } = body
      const attempt = demandAttempt(guesses.begin(username, ip), reply)
      const known = await store.findCredential(username)
      const { state, response } = opaque.startLogin(username, known?.opaqueRecord ?? null, body.startLoginRequest)
      const login = pending.put({ username, physician: known?.physician ?? null, state, attempt })
      return { login, loginResponse: response }
    },
  )

  app.post(
    paths.loginFinish,
    { schema: { body: loginFinish.body, response: { 200: loginFinish.reply } } },
    async (request, reply) => {
      const { body } = request
      const login = pending.take(body.login)
      if (login === null) throw new AppError("NOT_ALLOWED_SIGN_IN")
      const { username, physician, state, attempt } = login
      const proved = opaque.finishLogin(username, state, body.finishLoginRequest)
      if (!proved || physician === null) {
        attempt.fail()
        throw new AppError("NOT_ALLOWED_SIGN_IN")
      }
      attempt.succeed()
      const session = sessions.fresh(physician, body.carrier)
      await store.startSession(session.row, "sign-in")
      await sessions.endReplaced(request, session)
      return { ...(await store.account(physician)), session: sessions.hand(session, reply) }
    },
  )

  app.post(paths.loginAbandon, { schema: { body: loginAbandon.body } }, async ({ body }, reply) => {
    pending.take(body.login)?.attempt.fail()
    return reply.code(204).send()
  })
}
