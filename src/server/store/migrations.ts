import { type ColumnDataType, type Kysely, type RawBuilder, sql } from "kysely"
import { type Migration, type MigrationProvider, Migrator } from "kysely/migration"
import { AppError } from "../../errors.ts"
import { access } from "./migration-access.ts"
import { accountStatements } from "./migration-account-statements.ts"
import { acts } from "./migration-acts.ts"
import { entryAuthors } from "./migration-entry-authors.ts"
import { sessions } from "./migration-sessions.ts"
import { sharing } from "./migration-sharing.ts"
import { succession } from "./migration-succession.ts"
import { waiting } from "./migration-waiting.ts"

/** What the migrations need to know of a database. */
export interface ColumnTypes {
  readonly bytes: ColumnDataType
  /** 64-bit whole numbers. */
  readonly whole: ColumnDataType
  /** Goes after a table whose rows are small and sought by their primary key alone. */
  readonly keyed: RawBuilder<unknown>
}

/** Brings a database to the newest version, in one transaction where the dialect can. Running it again changes nothing.
 * @param upTo the last step; all of them where left out */
export async function migrate<Schema>(db: Kysely<Schema>, types: ColumnTypes, upTo?: string): Promise<void> {
  const migrator = new Migrator({ db, provider: migrations(types) })
  const { error } = upTo === undefined ? await migrator.migrateToLatest() : await migrator.migrateTo(upTo)
  if (error !== undefined) throw error
}

/** @throws UNAVAILABLE_STORAGE unless a database is at the newest version. For where nothing can be written. */
export async function demandMigrated<Schema>(db: Kysely<Schema>, types: ColumnTypes): Promise<void> {
  const all = await new Migrator({ db, provider: migrations(types) }).getMigrations()
  if (all.every(({ executedAt }) => executedAt !== undefined)) return
  throw new AppError(
    "UNAVAILABLE_STORAGE",
    "This database is of an older version, and cannot be brought along where nothing can be written. Make the disk writable, and start once.",
  )
}

/** Every step, by the order of its name. One that was released never changes. */
export function migrations(types: ColumnTypes): MigrationProvider {
  return {
    getMigrations: async () => ({
      "0001-first": first(types),
      "0002-sharing": sharing(types),
      "0003-account-statements": accountStatements(types),
      "0004-sessions": sessions(),
      "0005-access": access(types),
      "0006-succession": succession(types),
      "0007-entry-authors": entryAuthors(),
      "0008-waiting": waiting(types),
      "0009-acts": acts(types),
    }),
  }
}

function first({ bytes, whole, keyed }: ColumnTypes): Migration {
  const up = async (db: Kysely<never>): Promise<void> => {
    await db.schema
      .createTable("meta")
      .addColumn("name", "text", (c) => c.primaryKey())
      .addColumn("value", "text", (c) => c.notNull())
      .execute()

    await db.schema
      .createTable("physician")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("username", "text", (c) => c.notNull().unique())
      .addColumn("opaque_record", bytes, (c) => c.notNull())
      .addColumn("opaque_record_sha256", bytes, (c) => c.notNull())
      .addColumn("recovery_key", bytes, (c) => c.notNull())
      .addColumn("recovery_key_sha256", bytes, (c) => c.notNull())
      .addColumn("profile_number", whole, (c) => c.notNull())
      .addColumn("profile", bytes, (c) => c.notNull())
      .addColumn("profile_sha256", bytes, (c) => c.notNull())
      .addColumn("keyring_number", whole, (c) => c.notNull())
      .addColumn("keyring", bytes, (c) => c.notNull())
      .addColumn("keyring_sha256", bytes, (c) => c.notNull())
      .addColumn("created", whole, (c) => c.notNull())
      .execute()

    await db.schema
      .createTable("identity")
      .addColumn("physician", "text", (c) => c.notNull().references("physician.id"))
      .addColumn("seq", whole, (c) => c.notNull())
      .addColumn("statement", bytes, (c) => c.notNull())
      .addColumn("statement_sha256", bytes, (c) => c.notNull())
      .addColumn("signature", bytes, (c) => c.notNull())
      .addPrimaryKeyConstraint("identity_pk", ["physician", "seq"])
      .execute()

    await db.schema
      .createTable("unlock")
      .addColumn("physician", "text", (c) => c.notNull().references("physician.id"))
      .addColumn("method", "text", (c) => c.notNull())
      .addColumn("generation", whole, (c) => c.notNull())
      .addColumn("token", bytes, (c) => c.notNull())
      .addColumn("token_sha256", bytes, (c) => c.notNull())
      .addPrimaryKeyConstraint("unlock_pk", ["physician", "method"])
      .execute()

    await db.schema
      .createTable("session")
      .addColumn("token_hash", "text", (c) => c.primaryKey())
      .addColumn("id", "text", (c) => c.notNull().unique())
      .addColumn("physician", "text", (c) => c.notNull().references("physician.id"))
      .addColumn("half", bytes)
      .addColumn("half_sha256", bytes)
      .addColumn("created", whole, (c) => c.notNull())
      .addColumn("touched", whole, (c) => c.notNull())
      .addColumn("expires", whole, (c) => c.notNull())
      .addColumn("proven", whole, (c) => c.notNull())
      .execute()
    await db.schema.createIndex("session_physician").on("session").column("physician").execute()

    await db.schema
      .createTable("read_mark")
      .addColumn("session", "text", (c) => c.notNull().references("session.id").onDelete("cascade"))
      .addColumn("record", "text", (c) => c.notNull())
      .addPrimaryKeyConstraint("read_mark_pk", ["session", "record"])
      .modifyEnd(keyed)
      .execute()

    await db.schema
      .createTable("record")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("head_seq", whole, (c) => c.notNull())
      .addColumn("head_hash", bytes, (c) => c.notNull())
      .addColumn("head_leaf", whole, (c) => c.notNull())
      .addColumn("chain", "text", (c) => c.notNull())
      .execute()

    await db.schema
      .createTable("member")
      .addColumn("record", "text", (c) => c.notNull().references("record.id"))
      .addColumn("physician", "text", (c) => c.notNull().references("physician.id"))
      .addColumn("role", "text", (c) => c.notNull())
      .addPrimaryKeyConstraint("member_pk", ["record", "physician"])
      .modifyEnd(keyed)
      .execute()
    await db.schema.createIndex("member_physician").on("member").column("physician").execute()

    await db.schema
      .createTable("entry")
      .addColumn("record", "text", (c) => c.notNull().references("record.id"))
      .addColumn("seq", whole, (c) => c.notNull())
      .addColumn("author", "text", (c) => c.notNull())
      .addColumn("kind", "text", (c) => c.notNull())
      .addColumn("epoch", whole, (c) => c.notNull())
      .addColumn("statement", bytes, (c) => c.notNull())
      .addColumn("statement_sha256", bytes, (c) => c.notNull())
      .addColumn("signature", bytes, (c) => c.notNull())
      .addColumn("leaf", whole, (c) => c.notNull().unique())
      .addColumn("summary", bytes)
      .addColumn("summary_sha256", bytes)
      .addColumn("body_sha256", bytes)
      .addColumn("body", bytes)
      .addPrimaryKeyConstraint("entry_pk", ["record", "seq"])
      .execute()

    await db.schema
      .createTable("self_grant")
      .addColumn("physician", "text", (c) => c.notNull().references("physician.id"))
      .addColumn("record", "text", (c) => c.notNull().references("record.id"))
      .addColumn("epoch", whole, (c) => c.notNull())
      .addColumn("token", bytes, (c) => c.notNull())
      .addColumn("token_sha256", bytes, (c) => c.notNull())
      .addPrimaryKeyConstraint("self_grant_pk", ["physician", "record", "epoch"])
      .modifyEnd(keyed)
      .execute()

    await db.schema
      .createTable("segment")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("physician", "text", (c) => c.notNull().references("physician.id"))
      .addColumn("created", whole, (c) => c.notNull())
      .addColumn("token_sha256", bytes, (c) => c.notNull())
      .addColumn("token", bytes, (c) => c.notNull())
      .execute()
    await db.schema.createIndex("segment_physician").on("segment").column("physician").execute()

    await db.schema
      .createTable("leaf")
      .addColumn("idx", whole, (c) => c.primaryKey())
      .addColumn("data", bytes, (c) => c.notNull())
      .addColumn("salt", bytes, (c) => c.notNull())
      .addColumn("subject", "text", (c) => c.notNull())
      .addColumn("stream", "text", (c) => c.notNull())
      .addColumn("number", whole, (c) => c.notNull())
      .addColumn("type", "text", (c) => c.notNull())
      .addColumn("time", whole, (c) => c.notNull())
      .addColumn("actor", "text", (c) => c.notNull())
      .addColumn("statement_hash", bytes, (c) => c.notNull())
      .addUniqueConstraint("leaf_place", ["subject", "stream", "number"])
      .execute()

    await db.schema
      .createTable("node")
      .addColumn("level", whole, (c) => c.notNull())
      .addColumn("idx", whole, (c) => c.notNull())
      .addColumn("hash", bytes, (c) => c.notNull())
      .addPrimaryKeyConstraint("node_pk", ["level", "idx"])
      .modifyEnd(keyed)
      .execute()
  }
  return { up: up as Migration["up"] }
}

/** SQLite's spelling. An INTEGER PRIMARY KEY is the row's own number. */
export const sqliteTypes: ColumnTypes = { bytes: "blob", whole: "integer", keyed: sql`without rowid` }
