import { parseUtf8, utf8 } from "../encoding/bytes.ts"
import type { PhysicianId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { AccountReply } from "../protocol/accounts.ts"
import { asSecretKey, type PhysicianKey } from "../vault/keys.ts"
import { cachePlace, sessionPlace } from "../vault/places.ts"
import { open, seal } from "../vault/seal.ts"
import type { Session } from "./session.ts"
import type { ClientStorage } from "./storage.ts"

/** What a browser keeps between reloads. Nothing that is sealed here opens without the server's half, or the physician key. */

const pageSecret = "page"

/** Keeps what the page's requests prove themselves with. It opens nothing, and all tabs of this origin share it, as they share the cookie;
 * a page at another port has a storage of its own. */
export function keepPageSecret(storage: ClientStorage, secret: string): Promise<void> {
  return storage.put(pageSecret, utf8(secret))
}

/** `null` where no session was begun here. */
export async function recallPageSecret(storage: ClientStorage): Promise<string | null> {
  const kept = await storage.get(pageSecret)
  return kept === null ? null : parseUtf8(kept)
}

/** Forgets a secret that is no use any more, unless another tab has begun a session since. */
export async function forgetPageSecret(storage: ClientStorage, secret: string | null): Promise<void> {
  if (secret !== null && (await recallPageSecret(storage)) === secret) await storage.delete(pageSecret)
}

/** Seals the physician key under the session's half, so that a reload does not ask for the password while the session lives. */
export async function rememberSession(session: Session): Promise<void> {
  const { storage } = session.around
  await forgetSessions(storage)
  if (session.half === null) return
  const place = sessionPlace(session.physician, session.id)
  await storage.put(`session/${session.id}`, await seal(session.half, place, session.key, { exact: true }))
}

/** The physician key of a session that the server still knows, or `null` where either half is gone. */
export async function recallKey(storage: ClientStorage, account: AccountReply): Promise<PhysicianKey | null> {
  const { session, physician } = account
  const token = await storage.get(`session/${session.id}`)
  if (token === null || session.half === undefined) return null
  try {
    const half = asSecretKey<"session">(session.half)
    return asSecretKey(await open(half, sessionPlace(physician, session.id), token, { exact: true }))
  } catch (error) {
    if (error instanceof AppError && error.code === "CANNOT_OPEN") return null
    throw error
  }
}

export async function forgetSessions(storage: ClientStorage): Promise<void> {
  for (const name of await storage.list("session/")) await storage.delete(name)
}

/** What was typed and not saved: sealed under the physician key, kept through lock, sign-out and the session's end.
 * A name holds ids only, such as `record/<id>`. */
export class Drafts {
  readonly #session: Session
  /** One after the other: what was dropped, or written over, must not come back because sealing it took longer. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(session: Session) {
    this.#session = session
  }

  keep(name: string, value: string): Promise<void> {
    return this.#inTurn(async () => {
      const token = await seal(this.#session.key, this.#place(name), utf8(value))
      await this.#session.around.storage.put(this.#at(name), token)
    })
  }

  /** `null` where there is none, or none that opens. */
  async find(name: string): Promise<string | null> {
    const token = await this.#inTurn(() => this.#session.around.storage.get(this.#at(name)))
    if (token === null) return null
    try {
      return parseUtf8(await open(this.#session.key, this.#place(name), token))
    } catch {
      return null
    }
  }

  drop(name: string): Promise<void> {
    return this.#inTurn(() => this.#session.around.storage.delete(this.#at(name)))
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(work)
    this.#turn = next.catch(() => {})
    return next
  }

  #place(name: string): Uint8Array {
    return cachePlace(this.#session.physician, this.#session.pins.device, `draft/${name}`)
  }

  #at(name: string): string {
    const physician: PhysicianId = this.#session.physician
    return `draft/${physician}/${name}`
  }
}
