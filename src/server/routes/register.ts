import type { FastifyReply } from "fastify"
import { AppError } from "../../errors.ts"
import { verifyAccount } from "../../proof/account-statement.ts"
import { verifyIdentity } from "../../proof/identity.ts"
import { checkPublicKey } from "../../proof/signature.ts"
import { type Registration, registerFinish, registerStart } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { type Attempt, GuessLimit, guessLimits } from "../guess-limit.ts"
import { hashOfCode } from "../operator.ts"
import { Pending } from "../pending.ts"
import { SignUpLimit } from "../sign-up-limit.ts"
import { demandListed, demandToken, refusing } from "../statements.ts"
import { type Api, demandAttempt, jsonLimit, limited, type RouteContext } from "./context.ts"

const largest = jsonLimit(65_536 + 16_384 + 16_384 + 8192 + 8192)

interface SignUp {
  readonly username: string
  /** Of the invitation that it came with; null where none is needed. */
  readonly codeHash: string | null
  readonly attempt: Attempt
  /** Whether an account was made of it, and counted. */
  isCounted: boolean
}

/** Making a physician: OPAQUE's registration, identity 0, two ways to unlock, profile, keyring 0, and a session. */
export function registerRoutes(
  app: Api,
  { store, sessions, opaque, guesses, now }: RouteContext,
  registration: Registration,
  signUpsAnHour: number,
): void {
  /** Of questions for usernames that are taken: these are no guesses, and must not keep their physicians out. */
  const asked = new GuessLimit(now)
  const codes = new GuessLimit(now)
  const signUps = new SignUpLimit(signUpsAnHour, now)
  const pending = new Pending<SignUp>(guessLimits.attemptMs, now)

  app.post(
    paths.registerStart,
    { schema: { body: registerStart.body, response: { 200: registerStart.reply } } },
    async ({ body: { username, registrationRequest, code }, ip }, reply) => {
      if (registration === "closed") throw new AppError("NOT_ALLOWED_REGISTRATION")
      const codeHash = registration === "open" ? null : await demandInvite(code, ip, reply)
      if (codeHash === null) demandRoom(ip, reply)
      const question = demandAttempt(asked.begin(username, ip), reply)
      if (await store.usernameTaken(username)) {
        question.fail()
        throw new AppError("CONFLICT_USERNAME")
      }
      question.succeed()
      const attempt = demandAttempt(guesses.begin(username, ip), reply)
      const name = pending.put({ username, codeHash, attempt, isCounted: false })
      return { registration: name, registrationResponse: opaque.respond(username, registrationRequest) }
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
      for (const [what, { token, signed }] of [
        ["profile", body.profile] as const,
        ["keyring", body.keyring] as const,
      ]) {
        const signKeyOf = (seq: number) => (seq === 0 ? identity.signKey : null)
        const account = await refusing(verifyAccount(signed, physician, what, signKeyOf))
        if (demandToken(account, physician, token).number !== 0 || account.items.length > 1)
          throw new AppError("BAD_INPUT_STATEMENT")
      }
      const isNew = !signUp.isCounted && signUp.codeHash === null
      if (isNew) demandRoom(request.ip, reply)
      const session = sessions.fresh(physician, body.carrier)
      // Counted before it is stored: of many at once no more get in than may.
      const takeBack = isNew ? signUps.add(request.ip) : () => {}
      signUp.isCounted = true
      // A client whose connection broke sends the same again within the minute: it is told what it missed.
      const receipts = await store
        .register(
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
          signUp.codeHash,
        )
        .catch((error: unknown) => {
          takeBack()
          signUp.isCounted = false
          throw error
        })
      signUp.attempt.succeed()
      const account = await store.account(physician)
      await sessions.endReplaced(request, session)
      return { account: { ...account, session: sessions.hand(session, reply) }, ...receipts }
    },
  )

  /** Where anybody may sign up: of those who are invited the operator knows how many they are. @throws UNAVAILABLE_LIMIT */
  function demandRoom(ip: string, reply: FastifyReply): void {
    const waitMs = signUps.waitMs(ip)
    if (waitMs > 0) throw limited(waitMs, reply)
  }

  /** Before anything is computed with a password, and before a username is looked up. Codes cannot be guessed; who tries is slowed
   * down all the same, by address alone, so that nobody can keep others out. @throws NOT_ALLOWED_INVITATION, UNAVAILABLE_LIMIT */
  async function demandInvite(code: Uint8Array | undefined, ip: string, reply: FastifyReply): Promise<string> {
    if (code === undefined) throw new AppError("NOT_ALLOWED_INVITATION")
    const codeHash = hashOfCode(code)
    const attempt = demandAttempt(codes.begin(codeHash, ip), reply)
    if (await store.isInvited(codeHash)) {
      attempt.succeed()
      return codeHash
    }
    attempt.fail()
    throw new AppError("NOT_ALLOWED_INVITATION")
  }
}
