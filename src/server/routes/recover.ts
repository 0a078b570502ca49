import { encodeBase64url, parseBase64url } from "../../encoding/base64.ts"
import { AppError } from "../../errors.ts"
import { encodeRecovery } from "../../proof/recovery.ts"
import { signedBytes, verifyEd25519 } from "../../proof/signature.ts"
import { recoverFinish, recoverStart } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { type Attempt, GuessLimit, guessLimits } from "../guess-limit.ts"
import { Pending } from "../pending.ts"
import { type Api, demandAttempt, type RouteContext } from "./context.ts"

interface Recovery {
  readonly username: string
  readonly attempt: Attempt
}

/** Getting back in by a signature of the recovery words. Unknown usernames get a nonce too, and take as long to be refused.
 * @param nobody a public key, 32 B, that is checked against where there is no physician. */
export function recoverRoutes(app: Api, { store, sessions, now }: RouteContext, nobody: Uint8Array): void {
  const limit = new GuessLimit(now)
  const pending = new Pending<Recovery>(guessLimits.attemptMs, now)

  app.post(
    paths.recoverStart,
    { schema: { body: recoverStart.body, response: { 200: recoverStart.reply } } },
    async ({ body: { username }, ip }, reply) => {
      const attempt = demandAttempt(limit.begin(username, ip), reply)
      return { practice: store.practice, nonce: parseBase64url(pending.put({ username, attempt })) }
    },
  )

  app.post(
    paths.recoverFinish,
    { schema: { body: recoverFinish.body, response: { 200: recoverFinish.reply } } },
    async (request, reply) => {
      const { body } = request
      const { username, nonce, signature } = body
      const recovery = pending.take(encodeBase64url(nonce))
      if (recovery === null) throw new AppError("NOT_ALLOWED_RECOVERY")
      const known = await store.findCredential(username)
      const message = signedBytes("recovery", encodeRecovery(store.practice, username, nonce))
      const verified = await verifyEd25519(known?.recoveryKey ?? nobody, message, signature)
      if (recovery.username !== username || known === null || !verified) {
        recovery.attempt.fail()
        throw new AppError("NOT_ALLOWED_RECOVERY")
      }
      recovery.attempt.succeed()
      const session = sessions.fresh(known.physician, body.carrier)
      await store.startSession(session.row, "recover")
      await sessions.endReplaced(request, session)
      return { ...(await store.account(known.physician)), session: sessions.hand(session, reply) }
    },
  )
}
