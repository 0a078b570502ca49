import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { awaitsOwner, type ChainHead } from "../proof/chain.ts"
import { parseChainHead } from "../proof/chain-head.ts"
import { undecidedIn } from "./after-restore.ts"
import { sawAnother } from "./decided.ts"
import type { RosterRow } from "./roster-row.ts"
import type { WaitingRecord } from "./views.ts"
import type { Workspace } from "./workspace.ts"

/** What was found out about a record at its head. */
interface Found {
  readonly hash: string
  readonly unsettled: boolean
  /** Who is back, and nobody has decided about since; null where that was not looked at yet. */
  readonly back: readonly PhysicianId[] | null
}

/** Which records take nothing, after a restore, until an owner has confirmed who may read them. */
export class Awaiting {
  readonly #work: Workspace
  readonly #found = new Map<RecordId, Found>()

  constructor(work: Workspace) {
    this.#work = work
  }

  /** Whether the practice was restored: else nothing waits. */
  get isPossible(): boolean {
    return this.#work.session.restoredAt >= 0
  }

  /** Whether a row's record waits, by what is known so far. */
  has(row: RosterRow): boolean {
    const { roster } = this.#work
    if (!this.isPossible || row.chain === "" || roster.refused.has(row.id)) return false
    const { unsettled, back } = this.#foundAt(row)
    return unsettled || (back !== null && back.length > 0)
  }

  /** Looks at what was not looked at yet. Records in which somebody is back are opened for it. */
  async look(): Promise<void> {
    const { roster } = this.#work
    if (!this.isPossible) return
    for (const row of [...roster.rows.values()]) {
      if (row.chain === "" || this.#foundAt(row).back !== null) continue
      const back = await undecidedIn(this.#work, parseChainHead(row.chain))
      this.#found.set(row.id, { ...this.#foundAt(row), back })
    }
  }

  #foundAt(row: RosterRow): Found {
    let found = this.#found.get(row.id)
    if (found?.hash !== row.hash) {
      const unsettled = awaitsOwner(parseChainHead(row.chain), this.#work.session.restoredAt)
      found = { hash: row.hash, unsettled, back: null }
      this.#found.set(row.id, found)
    }
    return found
  }

  /** All that wait, by the patient's name. */
  async list(): Promise<WaitingRecord[]> {
    const { session, roster } = this.#work
    await this.look()
    const rows = [...roster.rows.values()].filter((row) => this.has(row))
    const heads = new Map(rows.map((row) => [row, parseChainHead(row.chain)]))
    await session.people.meet([...heads.values()].flatMap(({ members }) => members.map(({ physician }) => physician)))
    const list = await Promise.all([...heads].map(([row, head]) => this.#view(row, head)))
    return list.sort((a, b) => a.lastName.localeCompare(b.lastName) || a.firstName.localeCompare(b.firstName))
  }

  async #view(row: RosterRow, head: ChainHead): Promise<WaitingRecord> {
    const { people } = this.#work.session
    const returned = this.#foundAt(row).back ?? []
    const members = head.members.map(({ physician, fingerprint, role, until }) => ({
      colleague: people.colleague(physician),
      you: people.isMe(physician),
      role,
      until: until ?? null,
      returned: returned.includes(physician),
      keysChanged: people.isChanged({ physician, fingerprint }),
    }))
    const differs = members.some((one) => one.returned || one.keysChanged)
    return {
      id: row.id,
      firstName: row.firstName,
      lastName: row.lastName,
      birthDate: row.birthDate,
      mine: head.members.some(({ physician, role }) => people.isMe(physician) && role === "owner"),
      apart: differs || (await sawAnother(this.#work.session, head)),
      members,
    }
  }
}
