import { randomBytes } from "node:crypto"
import type { FastifyReply, FastifyRequest } from "fastify"
import { sha256 } from "#sha256"
import { encodeBase64url, parseBase64url } from "../encoding/base64.ts"
import { newId, type PhysicianId, type SessionId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { AccountReply, Carrier } from "../protocol/accounts.ts"
import { backgroundHeader, pageHeader, sessionHeader } from "../protocol/paths.ts"
import type { NewSession, Store, StoredSession } from "./store/store.ts"

export const idleMs = 15 * 60_000
export const longestMs = 12 * 3_600_000
const touchEveryMs = 60_000
/** So far a time service puts a clock back that was right. */
const clockSlackMs = 60_000

/** A session that has not been stored yet, with the secrets that only the client keeps. */
export interface FreshSession {
  readonly row: NewSession
  /** Of the cookie, or the bearer's. */
  readonly secret: string
  /** The page's; null for a program. */
  readonly page: string | null
}

/** Finds the physician behind a request. Secrets are 32 random bytes; the store knows their SHA-256 alone.
 *
 * A program's session has one secret, its bearer. A browser's has two. Its cookie goes to every port of this host, and whoever listens
 * there learns it; so it does nothing without the page's secret, which our own page keeps in its origin's storage and sends in a header.
 * What is one session's cookie is nobody's bearer, and the other way round. */
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
    // Two practices may stand on one host, where cookies know no ports.
    const name = `healthcrypt-${store.practice}`
    this.#cookie = secure ? `__Host-${name}` : name
  }

  fresh(physician: PhysicianId, carrier: Carrier): FreshSession {
    const secret = newSecret()
    const created = this.#now()
    const page = carrier === "cookie" ? newSecret() : null
    const row = {
      id: newId<"session">(),
      physician,
      tokenHash: hashed(secret),
      pageHash: page && hashed(page),
      half: carrier === "cookie" ? newSecret() : null,
      carrier,
      created,
      expires: created + longestMs,
    }
    return { row, secret: encodeBase64url(secret), page: page && encodeBase64url(page) }
  }

  /** Gives a stored session's secrets to the client. @returns what an account's answer says of the session. */
  hand({ row, secret, page }: FreshSession, reply: FastifyReply): AccountReply["session"] {
    if (page === null) return { ...describe(row), bearer: secret }
    reply.setCookie(this.#cookie, secret, this.#attributes())
    return { ...describe(row), page }
  }

  /** Ends the session whose cookie a browser loses to a new one: nobody could use it any more, and its physician would take it for
   * somebody else's. Run once the new one is stored. */
  async endReplaced(request: FastifyRequest, { row }: FreshSession): Promise<void> {
    const session = row.carrier === "cookie" ? await this.#ofCookies(request) : null
    // Who proves their password once more, as for a new one, still uses it for a moment.
    if (session !== null && request.headers[sessionHeader] !== session.id) await this.end(session.id)
  }

  /** The session of a request that is not too old. A request counts as activity, unless it says that nobody's hand caused it.
   * @throws NOT_ALLOWED_SESSION, NOT_ALLOWED_SUSPENDED */
  async authenticate(request: FastifyRequest, cause: "hand" | "background" = "hand"): Promise<StoredSession> {
    const { authorization } = request.headers
    const session = authorization === undefined ? await this.#ofCookies(request) : await this.#ofBearer(authorization)
    if (session === null) throw new AppError("NOT_ALLOWED_SESSION")
    // Another tab of the browser may have signed in since: the cookie is then another session's than the client means.
    const meant = request.headers[sessionHeader]
    if (meant !== undefined && meant !== session.id) throw new AppError("NOT_ALLOWED_SESSION")
    const now = this.#now()
    if (!this.#isAlive(session, now)) {
      await this.end(session.id)
      throw new AppError("NOT_ALLOWED_SESSION")
    }
    if (session.suspended) throw new AppError("NOT_ALLOWED_SUSPENDED")
    if (cause === "hand" && request.headers[backgroundHeader] === undefined) {
      this.#active.set(session.id, now)
      // The answer does not wait: should it fail, the next request tells again.
      if (now >= session.touched + touchEveryMs) this.#store.touchSession(session.id, now).catch(() => {})
    }
    return session
  }

  /** Demands that a session that was found earlier still goes on. @throws NOT_ALLOWED_SESSION, NOT_ALLOWED_SUSPENDED */
  async demandGoesOn({ tokenHash }: StoredSession): Promise<void> {
    const session = await this.#store.findSession(tokenHash)
    if (session === null || !this.#isAlive(session, this.#now())) throw new AppError("NOT_ALLOWED_SESSION")
    if (session.suspended) throw new AppError("NOT_ALLOWED_SUSPENDED")
  }

  /** Whether a session that was found earlier still goes on. */
  async goesOn(found: StoredSession): Promise<boolean> {
    try {
      await this.demandGoesOn(found)
      return true
    } catch (error) {
      if (error instanceof AppError && error.is("NOT_ALLOWED")) return false
      throw error
    }
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

  /** What began or was used at a time that has not come yet, did so by a clock that was wrong, and would last too long by the right one. */
  #isAlive(session: StoredSession, now: number): boolean {
    const lastActive = this.#lastActive(session)
    if (Math.max(session.created, lastActive) > now + clockSlackMs) return false
    return now < session.expires && now < lastActive + idleMs
  }

  #lastActive({ id, touched }: StoredSession): number {
    return Math.max(touched, this.#active.get(id) ?? 0)
  }

  async #ofBearer(authorization: string): Promise<StoredSession | null> {
    const hash = hashOf(/^Bearer ([A-Za-z0-9_-]{43})$/.exec(authorization)?.[1])
    const session = hash === null ? null : await this.#store.findSession(hash)
    return session?.carrier === "bearer" ? session : null
  }

  /** The session of a browser's own page: that of the cookie which was handed out together with the page's secret. A neighbour at another
   * port may have set further cookies of the same name, for `/api` alone for one, and browsers send those first. */
  async #ofCookies(request: FastifyRequest): Promise<StoredSession | null> {
    const page = hashOf(request.headers[pageHeader])
    if (page === null) return null
    const session = await this.#store.findPageSession(page)
    if (session?.carrier !== "cookie") return null
    return cookiesOf(request, this.#cookie).some((secret) => hashOf(secret) === session.tokenHash) ? session : null
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

/** The values of all cookies of one name, in the order in which they came. */
function cookiesOf(request: FastifyRequest, name: string): string[] {
  return (request.headers.cookie ?? "").split(";").flatMap((pair) => {
    const text = pair.trim()
    return text.startsWith(`${name}=`) ? [text.slice(name.length + 1)] : []
  })
}

function newSecret(): Uint8Array {
  return new Uint8Array(randomBytes(32))
}

function hashOf(secret: string | string[] | undefined): string | null {
  if (typeof secret !== "string" || !/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/.test(secret)) return null
  return hashed(parseBase64url(secret))
}

function hashed(secret: Uint8Array): string {
  return encodeBase64url(sha256(secret))
}
