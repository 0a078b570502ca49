import type { RecordId } from "../../encoding/ids.ts"
import type { ChainHead } from "../../proof/chain.ts"
import { parseChainHead } from "../../proof/chain-head.ts"
import type { Db } from "./connection.ts"
import { type Prepared, prepare } from "./prepared.ts"
import type { RecordRow } from "./schema.ts"

const kept = 4096
/** What all kept texts come to, in UTF-16 units: a head takes about four bytes for each, beside its text. One of 256 members, who have all
 * written, has 53,000. */
const keptUnits = 4 * 1024 * 1024

/** Reads records' chain heads; a text that was parsed before is not parsed again. */
export class ChainHeads {
  readonly #db: Db
  readonly #byRecord: Prepared<Pick<RecordRow, "id">, Pick<RecordRow, "chain">>
  readonly #kept = new Map<RecordId, { text: string; head: ChainHead }>()
  #units = 0

  constructor(db: Db) {
    this.#db = db
    this.#byRecord = prepare((p) => db.selectFrom("record").select("chain").where("id", "=", p.id))
  }

  /** null for an unknown record. */
  async find(record: RecordId): Promise<ChainHead | null> {
    const text = (await this.#byRecord(this.#db, { id: record })).rows[0]?.chain
    if (text === undefined) return null
    const known = this.#kept.get(record)
    if (known?.text === text) return known.head
    const head = parseChainHead(text)
    this.keep(record, text, head)
    return head
  }

  /** Spares parsing a head that is about to be stored as `text`. */
  keep(record: RecordId, text: string, head: ChainHead): void {
    this.#drop(record)
    this.#kept.set(record, { text, head })
    this.#units += text.length
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= kept && this.#units <= keptUnits) break
      this.#drop(oldest)
    }
  }

  #drop(record: RecordId): void {
    this.#units -= this.#kept.get(record)?.text.length ?? 0
    this.#kept.delete(record)
  }
}
