import { statSync } from "node:fs"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import { pathToFileURL } from "node:url"
import {
  type DatabaseConnection,
  Kysely,
  SqliteAdapter,
  type SqliteDatabase,
  SqliteDialect,
  SqliteDriver,
  type SqliteStatement,
} from "kysely"
import { AppError } from "../../errors.ts"
import type { Schema } from "./schema.ts"

export type Db = Kysely<Schema>

/** One connection to a SQLite file. A writer syncs at every commit (WAL, synchronous=FULL): what is committed survives a power cut.
 * @param access `write` creates the file where absent; `read` sees what is committed, and cannot write. */
export function openSqlite(file: string, access: "write" | "read"): Db {
  const database = new DatabaseSync(file, { readOnly: access === "read", timeout: 10_000 })
  if (access === "write") {
    database.exec("pragma journal_mode = wal")
    database.exec("pragma synchronous = full")
    database.exec("pragma foreign_keys = on")
    // What is replaced is overwritten: an old seal of the physician key must not lie in a page that nobody uses.
    database.exec("pragma secure_delete = on")
    // A bigger WAL between checkpoints: each one stops the writer for as long as it takes to copy and sync it.
    database.exec("pragma wal_autocheckpoint = 4000")
  }
  database.exec("pragma cache_size = -32000")
  return new Kysely<Schema>({ dialect: new NodeSqliteDialect(database) })
}

/** A whole database where nothing can be written, not even what SQLite notes beside one that is read.
 * @throws UNAVAILABLE_STORAGE where a server was killed while it wrote and what it left cannot be read without writing */
export function openUnwritable(file: string): Db {
  const wal = statSync(`${file}-wal`, { throwIfNoEntry: false })
  const url = pathToFileURL(file)
  // With nothing beside it the file is the whole of it, and stays as it is.
  if ((wal?.size ?? 0) === 0) url.search = "?immutable=1"
  const database = new DatabaseSync(url, { readOnly: true })
  try {
    database.exec("select 1 from sqlite_schema")
  } catch (cause) {
    database.close()
    const advice =
      `${file} cannot be read without writing: a server was stopped in the middle of its work, and what it left has to be put in ` +
      "order first. Make the disk writable, or make room on it, and start once."
    throw new AppError("UNAVAILABLE_STORAGE", advice, { cause })
  }
  return new Kysely<Schema>({ dialect: new NodeSqliteDialect(database) })
}

class NodeSqliteDialect extends SqliteDialect {
  readonly #database: DatabaseSync

  constructor(database: DatabaseSync) {
    super({ database: new Connection(database) })
    this.#database = database
  }

  override createAdapter(): SqliteAdapter {
    return new TransactionalAdapter()
  }

  override createDriver(): SqliteDriver {
    return new NodeSqliteDriver(this.#database)
  }
}

/** At a full disk or a failing one SQLite rolls back by itself; then there is nothing left to roll back. */
class NodeSqliteDriver extends SqliteDriver {
  readonly #database: DatabaseSync

  constructor(database: DatabaseSync) {
    super({ database: new Connection(database) })
    this.#database = database
  }

  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#database.isTransaction) await super.rollbackTransaction(connection)
  }
}

/** Migrations are all or nothing: SQLite's CREATE TABLE takes part in transactions, whatever Kysely assumes. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

const keptStatements = 256

/** node:sqlite in the shape that Kysely's SQLite driver asks for, with the newest statements kept prepared. */
class Connection implements SqliteDatabase {
  readonly #database: DatabaseSync
  readonly #kept = new Map<string, Statement>()

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  prepare(sql: string): SqliteStatement {
    const known = this.#kept.get(sql)
    if (known !== undefined) return known
    const made = new Statement(this.#database.prepare(sql))
    if (this.#kept.size >= keptStatements) this.#kept.delete(this.#kept.keys().next().value!)
    this.#kept.set(sql, made)
    return made
  }

  close(): void {
    this.#kept.clear()
    this.#database.close()
  }
}

class Statement implements SqliteStatement {
  readonly reader: boolean
  readonly #statement: StatementSync

  constructor(statement: StatementSync) {
    this.#statement = statement
    this.reader = statement.columns().length > 0
  }

  all(parameters: readonly unknown[]): unknown[] {
    return this.#statement.all(...(parameters as SQLInputValue[]))
  }

  run(parameters: readonly unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint } {
    return this.#statement.run(...(parameters as SQLInputValue[]))
  }

  iterate(parameters: readonly unknown[]): IterableIterator<unknown> {
    return this.#statement.iterate(...(parameters as SQLInputValue[]))
  }
}
