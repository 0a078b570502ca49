import type { z } from "zod"
import { parseCbor } from "../encoding/cbor.ts"
import { AppError } from "../errors.ts"
import type { Signed } from "../proof/statement.ts"
import { cachePlace } from "../vault/places.ts"
import { open, seal } from "../vault/seal.ts"
import { lineName } from "./line.ts"
import type { Session } from "./session.ts"

/** Of one file, and of all own entries of a log. */
export const mostBytes = 16 * 1024 * 1024

/** What a device keeps for a restore lies in sealed files, a folder for each log. */
export class KeptFiles {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  /** All logs' folders. */
  get root(): string {
    const { practice, physician } = this.#session
    return `kept/${practice.practice}/${physician}`
  }

  /** Of the log that the session stands on. */
  get folder(): string {
    return `${this.root}/${lineName(this.#session.line)}`
  }

  /** Which log it is, as every file says. */
  get log(): { line: Signed[]; restores: number } {
    const { line, restores } = this.#session.pins
    return { line: line.map((one) => ({ ...one })), restores }
  }

  /** @returns `null` for a file that is gone, or that does not open */
  async open<T extends z.ZodType>(name: string, what: string, schema: T): Promise<z.output<T> | null> {
    const token = await this.#session.around.storage.get(name)
    if (token === null) return null
    try {
      return schema.parse(parseCbor(await open(this.#session.key, this.#place(what), token), mostBytes, mostBytes))
    } catch {
      return null
    }
  }

  /** @throws NOT_ALLOWED_SESSION once the key is wiped: what is still under way must not be sealed under none */
  async put(name: string, what: string, content: Uint8Array, durability?: "relaxed"): Promise<void> {
    const { key, around } = this.#session
    if (key.every((byte) => byte === 0)) throw new AppError("NOT_ALLOWED_SESSION")
    await around.storage.put(name, await seal(key, this.#place(what), content), durability)
  }

  /** While no other tab or process changes what is kept. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#session.around.storage.exclusive(this.root, work)
  }

  #place(what: string): Uint8Array {
    return cachePlace(this.#session.physician, this.#session.pins.device, `kept/${what}`)
  }
}
