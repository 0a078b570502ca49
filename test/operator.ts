import { randomBytes } from "node:crypto"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { parseBase64url } from "../src/encoding/base64.ts"
import { newId } from "../src/encoding/ids.ts"
import { Frontier, leafHash, type MerkleNode } from "../src/proof/merkle.ts"
import { logSigner } from "../src/server/log.ts"
import { type RunningServer, startServer } from "../src/server/main.ts"
import { removeFolder, tempFolder } from "./server.ts"

/** A server whose operator does with its database and its secrets what an operator could, and starts it again at the same address. */
export class Operated {
  readonly folder: string
  #server: RunningServer
  #port: number

  private constructor(folder: string, server: RunningServer) {
    this.folder = folder
    this.#server = server
    this.#port = Number(new URL(server.url).port)
  }

  static async start(): Promise<Operated> {
    const folder = await tempFolder()
    return new Operated(folder, await run(folder, 0))
  }

  get url(): string {
    return this.#server.url
  }

  /** What stands on everybody's recovery sheet. */
  async sheet(): Promise<{ readonly origin: string; readonly key: string }> {
    const { origin, logKey } = (await (await fetch(`${this.url}/api/practice`)).json()) as Record<string, string>
    return { origin: origin!, key: Buffer.from(logKey!, "base64url").toString("hex") }
  }

  /** Adds leaves that nobody caused until the log has `size` of them. */
  grow(size: number): Promise<void> {
    return this.rewrite((leaves) => {
      const more = Math.max(0, size - leaves.length)
      return [...leaves, ...Array.from({ length: more }, () => new Uint8Array(randomBytes(64)))]
    })
  }

  /** Makes the log one of other leaves, hashes and signs it, as if it had always been so. @param sign false: changes leaves alone */
  rewrite(change: (leaves: Uint8Array[]) => readonly Uint8Array[], sign = true): Promise<void> {
    return this.stopped(() => rewriteLog(this.folder, change, sign))
  }

  /** Runs SQL on the database. */
  sql(statements: string): Promise<void> {
    return this.stopped(() => {
      const database = new DatabaseSync(join(this.folder, "healthcrypt.db"))
      database.exec(statements)
      database.close()
    })
  }

  /** Runs work while the server does not. */
  async stopped<T>(work: () => Promise<T> | T): Promise<T> {
    await this.#server.close()
    try {
      return await work()
    } finally {
      this.#server = await run(this.folder, this.#port)
    }
  }

  async close(): Promise<void> {
    await this.#server.close()
    await removeFolder(this.folder)
  }
}

/** What {@link Operated.rewrite} does. @param folder of a server that does not run */
export async function rewriteLog(
  folder: string,
  change: (leaves: Uint8Array[]) => readonly Uint8Array[],
  sign = true,
): Promise<void> {
  const secret = await readFile(join(folder, "secrets/log-key"), "utf8")
  const database = new DatabaseSync(join(folder, "healthcrypt.db"))
  database.exec("pragma synchronous = off; begin")
  writeLeaves(database, change(readLeaves(database)))
  if (sign) signTree(database, parseBase64url(secret.split("\n")[1]!))
  database.exec("commit")
  database.close()
}

function run(folder: string, port: number): Promise<RunningServer> {
  return startServer({
    dataDir: folder,
    host: "127.0.0.1",
    port,
    transit: { kind: "plain" },
    webRoot: null,
    logLevel: "error",
    notice: () => {},
    now: () => Date.now(),
  })
}

function readLeaves(database: DatabaseSync): Uint8Array[] {
  return database
    .prepare("select data from leaf order by idx")
    .all()
    .map(({ data }) => new Uint8Array(data as Uint8Array))
}

function writeLeaves(database: DatabaseSync, leaves: readonly Uint8Array[]): void {
  const before = readLeaves(database)
  const update = database.prepare("update leaf set data = ? where idx = ?")
  const insert = database.prepare(
    `insert into leaf (idx, data, salt, subject, stream, number, type, time, actor, statement_hash)
     values (?, ?, zeroblob(16), ?, 'act', ?, 'admin', 0, 'nobody', zeroblob(32))`,
  )
  const subject = newId()
  for (const [index, leaf] of leaves.entries()) {
    if (index >= before.length) insert.run(index, leaf, subject, index)
    else if (Buffer.compare(before[index]!, leaf) !== 0) update.run(leaf, index)
  }
  database.prepare("delete from leaf where idx >= ?").run(leaves.length)
}

/** Makes the log what its leaves say, hashed and signed. @param seed of the log key, 32 B */
export function signTree(database: DatabaseSync, seed: Uint8Array): void {
  const frontier = new Frontier()
  const nodes: MerkleNode[] = readLeaves(database).flatMap((leaf) => frontier.append(leafHash(leaf)))
  database.exec("delete from node")
  const insert = database.prepare("insert into node (level, idx, hash) values (?, ?, ?)")
  for (const { level, index, hash } of nodes) insert.run(level, index, hash)
  const { value: practice } = database.prepare("select value from meta where name = 'practice'").get() as {
    value: string
  }
  const note = logSigner(seed).sign({ origin: `healthcrypt/${practice}`, size: frontier.size, root: frontier.root() })
  database.prepare("update meta set value = ? where name = 'checkpoint'").run(note)
}
