import { readDates } from "../clinical/dates.ts"
import type { PhysicianId } from "../encoding/ids.ts"
import type { Member, Role } from "../proof/entry.ts"
import { Awaiting } from "./awaiting.ts"
import type { People } from "./people.ts"
import type { Roster } from "./roster.ts"
import { membersOf, type RosterRow } from "./roster-row.ts"
import { fold, type Query, queryOf, SearchIndex, wordsOf } from "./search.ts"
import type { HomePage, HomeQuery, HomeRow, HomeSort, PatientFields } from "./views.ts"
import type { Workspace } from "./workspace.ts"

/** Rows changed since the index was built that are searched one by one, and what their texts may have together, in UTF-16 units. Beyond that
 * the index is built anew. */
const overlayRows = 300
const overlayUnits = 100_000

/** Who else can read a record. Keys are left out: of many members in many records they are most of what a list would keep. */
type Reader = Pick<Member, "physician" | "role">

/** A list of rows, as an index has it. */
interface Placed {
  readonly index: SearchIndex | null
  /** Where the index has each row; -1 where it has none. */
  readonly places: Int32Array
  /** Whether it has too few of them: a colleague may write long texts into many. */
  readonly isOutgrown: boolean
}

/** The home page's list: sorted and searched over the opened roster. */
export class HomeList {
  readonly #roster: Roster
  readonly #people: People
  readonly #awaiting: Awaiting
  /** Who else can read a row's record, by row. */
  readonly #shared = new WeakMap<RosterRow, readonly Reader[]>()
  #places = new Map<RosterRow, number>()
  /** The same for the lists that were searched last. */
  readonly #placed = new WeakMap<readonly RosterRow[], Placed>()
  #index: SearchIndex | null = null
  /** Of each of the rows that the index does not have, one of its own. */
  readonly #own = new WeakMap<RosterRow, SearchIndex>()
  /** Rows that the index does not find by all of their diagnoses. */
  #cut: ReadonlySet<RosterRow> = new Set()
  #sorted = new Map<string, { version: number; rows: readonly RosterRow[] }>()

  constructor(work: Workspace, awaiting = new Awaiting(work)) {
    this.#roster = work.roster
    this.#people = work.session.people
    this.#awaiting = awaiting
  }

  /** @param today YYYY-MM-DD, for dates typed with two-digit years */
  page(query: HomeQuery, complete: boolean, today: string): HomePage {
    const all = this.#rows(query.sort, query.archived)
    const searches = query.search.trim() !== ""
    const found = searches ? this.#search(all, query.search, today) : all
    const ordered = query.descending ? [...found].reverse() : found
    return {
      total: all.length,
      matching: found.length,
      partlySearched: searches && this.#cut.size > 0 ? all.filter((row) => this.#cut.has(row)).length : 0,
      rows: ordered.slice(query.offset, query.offset + query.limit).map((row) => this.#homeRow(row)),
      complete,
      refused: [...this.#roster.refused].map(([id, { code, message }]) => ({ id, code, message })),
      waiting: this.#waiting(),
    }
  }

  /** Everybody who shares a record with the physician. */
  sharers(): Set<PhysicianId> {
    const sharers = new Set<PhysicianId>()
    for (const row of this.#roster.rows.values())
      if (row.chain !== "") for (const { physician } of this.#members(row)) sharers.add(physician)
    return sharers
  }

  /** Builds what the next search needs, so that the first letter typed is answered at once. Where that fails, the search says so: records
   * are listed and opened all the same. */
  prepare(): void {
    try {
      this.#build()
    } catch {
      this.#index = null
    }
  }

  /** Records of a patient with the same name and birth date. */
  namesakes(fields: PatientFields): HomeRow[] {
    const key = (row: { firstName: string; lastName: string; birthDate: string }) =>
      [wordsOf(row.firstName).join(" "), wordsOf(row.lastName).join(" "), row.birthDate].join("|")
    const wanted = key(fields)
    return [...this.#roster.rows.values()]
      .filter((row) => key(row) === wanted && !this.#roster.refused.has(row.id))
      .map((row) => this.#homeRow(row))
  }

  #waiting(): number {
    if (!this.#awaiting.isPossible) return 0
    let count = 0
    for (const row of this.#roster.rows.values())
      if (this.#awaiting.has(row) && this.#roleIn(this.#members(row)) === "owner") count++
    return count
  }

  #roleIn(members: readonly Reader[]): Role {
    return members.find(({ physician }) => this.#people.isMe(physician))?.role ?? "owner"
  }

  #rows(sort: HomeSort, archived: boolean): readonly RosterRow[] {
    const name = `${sort}/${archived}`
    const kept = this.#sorted.get(name)
    if (kept?.version === this.#roster.version) return kept.rows
    const refused = this.#roster.refused
    const rows = [...this.#roster.rows.values()].filter((row) => row.archived === archived && !refused.has(row.id))
    const keyed = rows.map((row) => ({ row, key: sortKey(row, sort) }))
    keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    const sorted = keyed.map(({ row }) => row)
    this.#sorted.set(name, { version: this.#roster.version, rows: sorted })
    return sorted
  }

  #search(rows: readonly RosterRow[], search: string, today: string): readonly RosterRow[] {
    // What begins like 2003-05-2 is on its way to 2003-05-24, and found by prefix; any other way to write a date has to be whole.
    const dates = /^\d{4}-/.test(search.trim()) ? [] : readDates(search.trim(), today)
    const query = dates.length === 0 ? queryOf(search) : [dates]
    if (this.#index === null || this.#place(rows).isOutgrown) this.#build()
    const hits = this.#index!.find(query)
    const { places } = this.#place(rows)
    return rows.filter((row, i) => {
      const place = places[i]!
      return place >= 0 ? hits[place] === 1 : this.#matches(row, query)
    })
  }

  /** Whether a row is found that the index does not have. */
  #matches(row: RosterRow, query: Query): boolean {
    const index = this.#own.get(row) ?? new SearchIndex([row])
    this.#own.set(row, index)
    return index.find(query)[0] === 1
  }

  #place(rows: readonly RosterRow[]): Placed {
    const known = this.#placed.get(rows)
    if (known?.index === this.#index) return known
    const places = Int32Array.from(rows, (row) => this.#places.get(row) ?? -1)
    const changed = rows.filter((_, i) => places[i]! < 0)
    const units = changed.reduce((sum, row) => sum + unitsOf(row), 0)
    const isOutgrown = changed.length > overlayRows || units > overlayUnits
    const placed = { index: this.#index, places, isOutgrown }
    this.#placed.set(rows, placed)
    return placed
  }

  #homeRow(row: RosterRow): HomeRow {
    const { id, firstName, lastName, birthDate, diagnoses, updated, archived } = row
    const members = this.#members(row)
    return {
      id,
      firstName,
      lastName,
      birthDate,
      diagnoses,
      updated,
      archived,
      role: this.#roleIn(members),
      sharedWith: members
        .filter(({ physician }) => !this.#people.isMe(physician))
        .map(({ physician }) => this.#people.label(physician)),
      waits: this.#awaiting.has(row),
    }
  }

  #members(row: RosterRow): readonly Reader[] {
    if (row.chain === "") return []
    let members = this.#shared.get(row)
    if (members === undefined) {
      members = (membersOf(row) ?? []).map(({ physician, role }) => ({ physician, role }))
      this.#shared.set(row, members)
    }
    return members
  }

  /** Where there is too much for the index, what others may write in comes last, and of that the longest: that is left out. */
  #build(): void {
    let rows = [...this.#roster.rows.values()]
    let index = new SearchIndex(rows)
    if (index.cut.size > 0) {
      const lengths = new Map(rows.map((row) => [row, unitsOf(row)]))
      const isShared = (row: RosterRow) => Number(row.chain !== "")
      rows = rows.sort((a, b) => isShared(a) - isShared(b) || lengths.get(a)! - lengths.get(b)!)
      index = new SearchIndex(rows)
    }
    this.#places = new Map(rows.map((row, place) => [row, place]))
    this.#cut = new Set([...index.cut].map((place) => rows[place]!))
    this.#index = index
  }
}

/** How long a row's texts are together, in UTF-16 units. */
function unitsOf({ firstName, lastName, diagnoses }: RosterRow): number {
  return diagnoses.reduce((sum, text) => sum + text.length, firstName.length + lastName.length)
}

function sortKey(row: RosterRow, sort: HomeSort): string {
  const name = `${fold(row.lastName)}\u0000${fold(row.firstName)}`
  if (sort === "name") return name
  if (sort === "birthDate") return `${row.birthDate}\u0000${name}`
  if (sort === "diagnoses") return `${fold(row.diagnoses[0] ?? "\uffff")}\u0000${name}`
  return `${String(row.updated).padStart(16, "0")}\u0000${name}`
}
