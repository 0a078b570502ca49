import { equal } from "../../encoding/bytes.ts"
import { AppError } from "../../errors.ts"
import { checkPublicKey } from "../../proof/signature.ts"
import { type UnlockSeal, unlocks, unlocksStart } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { demandFreshProof } from "../access.ts"
import { type Attempt, guessLimits } from "../guess-limit.ts"
import { Pending } from "../pending.ts"
import { demandListed, verifyNextIdentity } from "../statements.ts"
import { type Api, demandAttempt, jsonLimit, limited, type RouteContext, sessionOf, signedIn } from "./context.ts"

const largest = jsonLimit(65_536 + 8192)
/** Whoever looks somebody up is told the whole chain: it must not grow at will. */
const identitiesADay = 20
const dayMs = 24 * 3_600_000

/** Replacing ways to unlock: password, recovery words, or both at once. */
export function unlocksRoutes(app: Api, { store, sessions, opaque, guesses, now, watchers }: RouteContext): void {
  /** The newest attempt of each session. The change that follows makes it a success. */
  const pending = new Pending<Attempt>(guessLimits.attemptMs, now)

  app.post(
    paths.unlocksStart,
    { ...signedIn(sessions), schema: { body: unlocksStart.body, response: { 200: unlocksStart.reply } } },
    async (request, reply) => {
      const session = sessionOf(request)
      demandFreshProof(session, now())
      const username = await store.usernameOf(session.physician)
      pending.putAs(session.id, demandAttempt(guesses.begin(username, request.ip, true), reply))
      return { registrationResponse: opaque.respond(username, request.body.registrationRequest) }
    },
  )

  app.post(
    paths.unlocks,
    { ...signedIn(sessions), schema: { body: unlocks.body, response: { 200: unlocks.reply } }, bodyLimit: largest },
    async (request, reply) => {
      const session = sessionOf(request)
      demandFreshProof(session, now())
      const { password, recovery, identity: signed, since } = request.body
      const { physician } = session
      // In this order: should somebody else be faster in between, the identity is what conflicts.
      const stored = await store.unlocks(physician)
      const chain = await store.newestIdentities(physician)
      // A client whose connection broke sends the same again: it is told what it missed.
      const again = chain.length > 1 && equal(chain.at(-1)!.statement, signed.statement)
      const newest = chain.at(again ? -2 : -1)
      if (newest === undefined) throw new AppError("CONFLICT_IDENTITY")
      const identity = await verifyNextIdentity(newest, signed)
      const earlier = again ? null : await store.identityTime(physician, identity.seq - identitiesADay)
      if (earlier !== null && now() < earlier + dayMs) throw limited(earlier + dayMs - now(), reply)
      const fresh = [
        ...(password === undefined ? [] : [sealOf("password", password)]),
        ...(recovery === undefined ? [] : [sealOf("recovery", recovery)]),
      ]
      demandListed(identity, again ? stored : replaced(stored, fresh))
      if (recovery !== undefined) checkPublicKey(recovery.recoveryKey)
      const receipt = await store.replaceUnlocks({
        physician,
        identity: signed,
        seq: identity.seq,
        ...(password && {
          password: { opaqueRecord: password.registrationRecord, seal: sealOf("password", password) },
        }),
        ...(recovery && { recovery: { recoveryKey: recovery.recoveryKey, seal: sealOf("recovery", recovery) } }),
        session: session.id,
        since,
      })
      if (password !== undefined && !again) pending.take(session.id)?.succeed()
      // A new password ends the other sessions: whoever listens with one asks at once, is refused, and wipes.
      if (password !== undefined) watchers.notify([physician])
      return receipt
    },
  )
}

function sealOf(method: string, { generation, token }: Omit<UnlockSeal, "method">): UnlockSeal {
  return { method, generation, token }
}

/** What will be stored afterwards. @throws BAD_INPUT_STATEMENT unless every replacement is its method's next generation */
function replaced(stored: readonly UnlockSeal[], fresh: readonly UnlockSeal[]): UnlockSeal[] {
  for (const { method, generation } of fresh) {
    const before = stored.find((seal) => seal.method === method)
    if (generation !== (before === undefined ? 0 : before.generation + 1)) throw new AppError("BAD_INPUT_STATEMENT")
  }
  if (fresh.length === 0) throw new AppError("BAD_INPUT_STATEMENT")
  const kept = stored.filter((seal) => !fresh.some((one) => one.method === seal.method))
  return [...kept, ...fresh]
}
