import { randomBytes } from "node:crypto"
import type { FastifyReply, FastifyRequest } from "fastify"
import { sha256 } from "#sha256"
import { encodeBase64url, parseBase64url } from "../encoding/base64.ts"
import { newId, type PhysicianId, type SessionId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { AccountReply, Carrier } from "../protocol/accounts.ts"
import { backgroundHeader, sessionCookie, sessionHeader } from "../protocol/paths.ts"
import type { NewSession, Store, StoredSession } from "./store/store.ts"

export const idleMs = 15 * 60_000
export const longestMs = 12 * 3_600_000
const touchEveryMs = 60_000

/** A session that has not been stored yet, with the secret that only the client keeps. */
export interface FreshSession {
  readonly row: NewSession
  readonly secret: string
}

/** Finds the physician behind a request. Secrets are 32 random bytes; the store knows their SHA-256 alone. */
export class Sessions {
  readonly #store: Store
  readonly #now: () => number
  readonly #secure: boolean
  readonly #cookie: string
  /** The last activity of each session, which the store is told of once a minute. */
  readonly #active = new Map<SessionId, number>()

  /** @param secure whether browsers reach this server through TLS. */
  constructor(store: Store, secure: boolean, now: () => number) {
    this.#store = store
    this.#now = now
    this.#secure = secure
    this.#cookie = secure ? `__Host-${sessionCookie}` : sessionCookie
  }

  fresh(physician: PhysicianId, carrier: Carrier): FreshSession {
    const secret = new Uint8Array(randomBytes(32))
    const created = this.#now()
    const half = carrier === "cookie" ? new Uint8Array(randomBytes(32)) : null
    const row = { id: newId<"session">(), physician, half, carrier, created, expires: created + longestMs }
    return { row: { ...row, tokenHash: hashed(secret) }, secret: encodeBase64url(secret) }
  }

  /** Gives a stored session's secret to the client. @returns what an account's answer says of the session. */
  hand({ row, secret }: FreshSession, reply: FastifyReply): AccountReply["session"] {
    if (row.carrier === "bearer") return { ...describe(row), bearer: secret }
    reply.setCookie(this.#cookie, secret, this.#attributes())
    return describe(row)
  }

  /** Ends the session whose cookie a browser loses to a new one: nobody could use it any more, and its physician would take it for
   * somebody else's. Run once the new one is stored. */
  async endReplaced(request: FastifyRequest, { row }: FreshSession): Promise<void> {
    const before = row.carrier === "cookie" ? hashOf(request.cookies[this.#cookie]) : null
    const session = before === null ? null : await this.#store.findSession(before)
    // Who proves their password once more, as for a new one, still uses it for a moment.
    if (session !== null && request.headers[sessionHeader] !== session.id) await this.end(session.id)
  }

  /** The session of a request that is not too old. A request counts as activity, unless it says that nobody's hand caused it.
   * @throws NOT_ALLOWED_SESSION; NOT_ALLOWED when another site's page may have sent it */
  async authenticate(request: FastifyRequest, cause: "hand" | "background" = "hand"): Promise<StoredSession> {
    const secret = this.#secretOf(request)
    const session = secret === null ? null : await this.#store.findSession(secret)
    if (session === null) throw new AppError("NOT_ALLOWED_SESSION")
    // Another tab of the browser may have signed in since: the cookie is then another session's than the client means.
    const meant = request.headers[sessionHeader]
    if (meant !== undefined && meant !== session.id) throw new AppError("NOT_ALLOWED_SESSION")
    const now = this.#now()
    if (!this.#isAlive(session, now)) {
      await this.end(session.id)
      throw new AppError("NOT_ALLOWED_SESSION")
    }
    if (cause === "hand" && request.headers[backgroundHeader] === undefined) {
      this.#active.set(session.id, now)
      // The answer does not wait: should it fail, the next request tells again.
      if (now >= session.touched + touchEveryMs) this.#store.touchSession(session.id, now).catch(() => {})
    }
    return session
  }

  /** Whether a session that was found earlier still goes on. */
  async goesOn({ tokenHash }: StoredSession): Promise<boolean> {
    const session = await this.#store.findSession(tokenHash)
    return session !== null && this.#isAlive(session, this.#now())
  }

  async end(id: SessionId): Promise<void> {
    this.#active.delete(id)
    await this.#store.endSession(id)
  }

  /** A physician's sessions that still go on, newest first, each with its last activity. */
  async of(physician: PhysicianId): Promise<StoredSession[]> {
    const now = this.#now()
    const all = (await this.#store.sessionsOf(physician)).filter((session) => this.#isAlive(session, now))
    return all.map((session) => ({ ...session, touched: this.#lastActive(session) }))
  }

  /** Ends one of a physician's own sessions, which the log tells them. @throws NOT_ALLOWED where it is not theirs */
  async endOf(physician: PhysicianId, id: SessionId): Promise<void> {
    if (!(await this.#store.endSessionOf(physician, id))) throw new AppError("NOT_ALLOWED")
    this.#active.delete(id)
  }

  clearCookie(reply: FastifyReply): void {
    reply.clearCookie(this.#cookie, this.#attributes())
  }

  /** Ends all sessions that are too old. Run once a minute. */
  async purge(): Promise<void> {
    const now = this.#now()
    for (const [id, active] of this.#active) if (now >= active + idleMs) this.#active.delete(id)
    await this.#store.purgeSessions(now, now - idleMs - touchEveryMs)
  }

  #isAlive(session: StoredSession, now: number): boolean {
    return now < session.expires && now < this.#lastActive(session) + idleMs
  }

  #lastActive({ id, touched }: StoredSession): number {
    return Math.max(touched, this.#active.get(id) ?? 0)
  }

  /** The hash of the secret that a request carries. */
  #secretOf(request: FastifyRequest): string | null {
    const { authorization } = request.headers
    if (authorization !== undefined) return hashOf(/^Bearer ([A-Za-z0-9_-]{43})$/.exec(authorization)?.[1])
    const cookie = request.cookies[this.#cookie]
    if (cookie === undefined) return null
    if (request.method !== "GET" && request.method !== "HEAD") demandSameOrigin(request)
    return hashOf(cookie)
  }

  #attributes() {
    return { httpOnly: true, sameSite: "strict", path: "/", secure: this.#secure } as const
  }
}

/** @param session a stored one, or one that was just made. */
export function describe(session: NewSession): AccountReply["session"] {
  const { id, expires, half } = session
  return { id, expires, ...(half === null ? {} : { half }) }
}

/** A cookie is sent by whatever page asks: what changes something has to come from our own.
 * Source: Fetch Metadata (w3.org/TR/fetch-metadata), else the Origin header that browsers put on every such request. */
function demandSameOrigin(request: FastifyRequest): void {
  const site = request.headers["sec-fetch-site"]
  if (site === "same-origin") return
  if (site === undefined && isOwnOrigin(request.headers.origin, request.host)) return
  throw new AppError("NOT_ALLOWED", "This request came from another site's page. Open Healthcrypt by its own address.")
}

/** A browser leaves out the port that goes without saying, on either side. */
function isOwnOrigin(origin: string | undefined, host: string): boolean {
  if (origin === undefined || !URL.canParse(origin)) return false
  const from = new URL(origin)
  const own = `${from.protocol}//${host}`
  return URL.canParse(own) && new URL(own).host === from.host
}

function hashOf(secret: string | undefined): string | null {
  if (secret === undefined || !/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/.test(secret)) return null
  return hashed(parseBase64url(secret))
}

function hashed(secret: Uint8Array): string {
  return encodeBase64url(sha256(secret))
}
