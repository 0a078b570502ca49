import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import {
  type Kysely,
  Kysely as KyselyDatabase,
  SqliteAdapter,
  type SqliteDatabase,
  SqliteDialect,
  type SqliteStatement,
} from "kysely"
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
    // A bigger WAL between checkpoints: each one stops the writer for as long as it takes to copy and sync it.
    database.exec("pragma wal_autocheckpoint = 4000")
  }
  database.exec("pragma cache_size = -32000")
  return new KyselyDatabase<Schema>({ dialect: new NodeSqliteDialect({ database: new Connection(database) }) })
}

/** Migrations are all or nothing: SQLite's CREATE TABLE takes part in transactions, whatever Kysely assumes. */
class NodeSqliteDialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new TransactionalAdapter()
  }
}

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
