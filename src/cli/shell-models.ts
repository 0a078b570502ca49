import { type Kysely, type RawBuilder, sql } from "kysely"
import { AppError } from "../errors.ts"
import type { Schema } from "../server/store/schema.ts"
import { Bytes, Rows } from "./shell-table.ts"

type Value = string | number
type Row = Readonly<Record<string, unknown>>
type Operator = "=" | "!=" | "<" | "<=" | ">" | ">=" | "like"

/** What can be asked of a table. Every call reads what the server has committed by then. */
interface Model {
  all(): Promise<Rows>
  /** One row by its id, its bytes whole; null where there is none. */
  get(...id: Value[]): Promise<Row | null>
  count(): Promise<number>
  /** `where({ author: "…" })`, `where("seq", 3)` or `where("seq", ">", 3)` */
  where(column: string | Readonly<Record<string, Value>>, operator?: Operator | Value, value?: Value): Promise<Rows>
}

/** How a model's rows come to be. */
interface Source {
  readonly from: RawBuilder<unknown>
  /** In the order shown: SQL, or a column of bytes or of milliseconds. */
  readonly columns: Readonly<Record<string, Column>>
  readonly order: readonly string[]
  /** What `get` takes, one after the other. */
  readonly id: readonly string[]
}

type Column = string | { readonly bytes: string } | { readonly time: string }

const sources = {
  Physician: {
    from: sql`physician`,
    columns: {
      id: "id",
      username: "username",
      created: { time: "created" },
      records: "(select count(*) from member where member.physician = physician.id and member.role is not null)",
      profile: { bytes: "profile" },
      keyring: { bytes: "keyring" },
    },
    order: ["created", "id"],
    id: ["id"],
  },
  Record: {
    from: sql`record join leaf on leaf.idx = record.head_leaf`,
    columns: {
      id: "record.id",
      entries: "record.head_seq + 1",
      members: "(select count(*) from member where member.record = record.id and member.role is not null)",
      changed: { time: "leaf.time" },
      summary: { bytes: newest("summary") },
      body: { bytes: newest("body") },
    },
    order: ["changed", "id"],
    id: ["id"],
  },
  Entry: {
    from: sql`entry join leaf on leaf.idx = entry.leaf`,
    columns: {
      record: "entry.record",
      seq: "entry.seq",
      kind: "entry.kind",
      epoch: "entry.epoch",
      author: "entry.author",
      leaf: "entry.leaf",
      time: { time: "leaf.time" },
      summary: { bytes: "entry.summary" },
      body: { bytes: "entry.body" },
    },
    order: ["leaf"],
    id: ["record", "seq"],
  },
  Member: {
    from: sql`member`,
    columns: {
      record: "record",
      physician: "physician",
      role: "role",
      until: { time: "until" },
      invited: "invited",
      accepted: "accepted",
      removed: "removed",
    },
    order: ["record", "physician"],
    id: ["record", "physician"],
  },
  Grant: {
    from: sql`sealed_grant`,
    columns: { record: "record", seq: "seq", recipient: "recipient", grant: { bytes: "token" } },
    order: ["record", "seq", "recipient"],
    id: ["record", "seq", "recipient"],
  },
  Log: {
    from: sql`leaf`,
    columns: {
      index: "idx",
      time: { time: "time" },
      type: "type",
      actor: "actor",
      subject: "subject",
      number: "number",
      data: { bytes: "data" },
    },
    order: ["index"],
    id: ["index"],
  },
} as const satisfies Record<string, Source>

/** Not every entry carries one: who belongs to a record may change alone. */
function newest(column: "summary" | "body"): string {
  return `(select ${column} from entry where entry.record = record.id and ${column} is not null order by seq desc limit 1)`
}

export type Models = Readonly<Record<keyof typeof sources, Model>>

export function openModels(db: Kysely<Schema>): Models {
  return {
    Physician: openModel(db, sources.Physician),
    Record: openModel(db, sources.Record),
    Entry: openModel(db, sources.Entry),
    Member: openModel(db, sources.Member),
    Grant: openModel(db, sources.Grant),
    Log: openModel(db, sources.Log),
  }
}

type Condition = readonly [column: string, operator: Operator, value: Value]

function openModel(db: Kysely<Schema>, source: Source): Model {
  const find = async (conditions: readonly Condition[], whole: boolean): Promise<Rows> => {
    for (const [column] of conditions) demandColumn(source, column)
    const where = conditions.map(([column, operator, value]) => sql`${sql.ref(column)} ${sql.raw(operator)} ${value}`)
    const query = sql<Row>`select * from (${selectAll(source, whole)}) as shown
      ${where.length === 0 ? sql`` : sql`where ${sql.join(where, sql` and `)}`} order by ${sql.join(source.order.map((name) => sql.ref(name)))}`
    const { rows } = await query.execute(db)
    return Rows.from(rows.map((row) => show(source, row))) as Rows
  }
  return {
    all: () => find([], false),
    async get(...id) {
      if (id.length !== source.id.length) throw misuse(`get takes: ${source.id.join(", ")}`)
      const rows = await find(
        source.id.map((name, i) => [name, "=", id[i]!] as const),
        true,
      )
      return rows[0] ?? null
    },
    async count() {
      const { rows } = await sql<{ count: number }>`select count(*) as count from ${source.from}`.execute(db)
      return Number(rows[0]?.count)
    },
    where: async (column, operator, value) => find(conditionsOf(column, operator, value), false),
  }
}

/** Of bytes only the beginning is read, unless they are wanted whole. */
function selectAll({ columns, from }: Source, whole: boolean): RawBuilder<unknown> {
  const selected = Object.entries(columns).flatMap(([name, column]) => {
    if (typeof column === "string") return [sql`${sql.raw(column)} as ${sql.ref(name)}`]
    if ("time" in column) return [sql`${sql.raw(column.time)} as ${sql.ref(name)}`]
    const bytes = sql.raw(column.bytes)
    const start = whole ? bytes : sql`substr(${bytes}, 1, 18)`
    return [sql`${start} as ${sql.ref(name)}`, sql`octet_length(${bytes}) as ${sql.ref(sizeOf(name))}`]
  })
  return sql`select ${sql.join(selected)} from ${from}`
}

function show({ columns }: Source, row: Row): Row {
  return Object.fromEntries(
    Object.entries(columns).map(([name, column]) => {
      const value = row[name]
      if (typeof column === "object" && "time" in column) return [name, value === null ? null : new Date(Number(value))]
      if (value instanceof Uint8Array) return [name, new Bytes(value, Number(row[sizeOf(name)]))]
      return [name, value]
    }),
  )
}

function sizeOf(name: string): string {
  return `${name}_size`
}

const operators: readonly unknown[] = ["=", "!=", "<", "<=", ">", ">=", "like"]

function conditionsOf(
  column: string | Readonly<Record<string, Value>>,
  operator: Operator | Value | undefined,
  value: Value | undefined,
): Condition[] {
  if (typeof column === "object") return Object.entries(column).map(([name, wanted]) => [name, "=", wanted])
  if (operator === undefined) throw misuse('where takes a column and a value, such as where("seq", 0)')
  if (value === undefined) return [[column, "=", operator]]
  if (!operators.includes(operator)) throw misuse(`where compares by one of: ${operators.join(" ")}`)
  return [[column, operator as Operator, value]]
}

function demandColumn(source: Source, column: string): void {
  if (!Object.hasOwn(source.columns, column)) throw misuse(`the columns are: ${Object.keys(source.columns).join(", ")}`)
}

function misuse(advice: string): AppError {
  return new AppError("BAD_INPUT_FORMAT", advice)
}
