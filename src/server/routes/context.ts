import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  onRequestAsyncHookHandler,
  preValidationAsyncHookHandler,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from "fastify"
import type { ZodTypeProvider } from "fastify-type-provider-zod"
import { AppError } from "../../errors.ts"
import type { Attempt, Begun, GuessLimit } from "../guess-limit.ts"
import type { Turns } from "../in-flight.ts"
import type { OpaqueServer } from "../opaque.ts"
import type { Sessions } from "../sessions.ts"
import type { Store, StoredSession } from "../store/store.ts"
import type { Watchers } from "../watchers.ts"

declare module "fastify" {
  interface FastifyRequest {
    /** Set by the hook of routes that need one. */
    session: StoredSession | null
  }
}

/** The server, with zod's schemas for types. */
export type Api = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>

/** What routes work with. */
export interface RouteContext {
  readonly store: Store
  readonly sessions: Sessions
  readonly opaque: OpaqueServer
  /** Every evaluation of the OPRF, by whatever route, is an attempt of this one count: each tells what one password becomes. */
  readonly guesses: GuessLimit
  readonly watchers: Watchers
  /** Whatever reads more than a few rows takes its turn. */
  readonly turns: Turns
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** JSON of a body whose bytes come to so many: base64url is a third longer, and names and ids stand around it. */
export function jsonLimit(bytes: number): number {
  return Math.ceil((bytes * 4) / 3) + 16_384
}

interface SignedInHooks {
  readonly onRequest: onRequestAsyncHookHandler
  readonly preValidation: preValidationAsyncHookHandler
}

/** Before the body is read: only a session gets further. A body may take minutes to come: once it is there, the session is looked at again. */
export function signedIn(sessions: Sessions): SignedInHooks {
  return hooksOf(sessions, "hand")
}

/** The same for a request that nobody's hand caused, whatever its headers say. */
export function signedInBehind(sessions: Sessions): SignedInHooks {
  return hooksOf(sessions, "background")
}

function hooksOf(sessions: Sessions, cause: "hand" | "background"): SignedInHooks {
  return {
    onRequest: async (request: FastifyRequest) => {
      request.session = await sessions.authenticate(request, cause)
    },
    preValidation: async (request: FastifyRequest) => {
      if (request.body !== undefined) await sessions.demandGoesOn(sessionOf(request))
    },
  }
}

/** The session of a route that has `signedIn`. */
export function sessionOf(request: FastifyRequest): StoredSession {
  if (request.session === null) throw new AppError("NOT_ALLOWED_SESSION")
  return request.session
}

/** @throws UNAVAILABLE_LIMIT, saying when to try again */
export function demandAttempt(begun: Begun, reply: FastifyReply): Attempt {
  if ("attempt" in begun) return begun.attempt
  throw limited(begun.retryAfterMs, reply)
}

/** UNAVAILABLE_LIMIT, in an answer that says when to try again. */
export function limited(waitMs: number, reply: FastifyReply): AppError {
  reply.header("retry-after", Math.ceil(waitMs / 1000))
  return new AppError("UNAVAILABLE_LIMIT")
}
