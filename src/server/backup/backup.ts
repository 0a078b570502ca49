import { link, lstat, open, readFile, rename, rm, stat } from "node:fs/promises"
import { basename, dirname, join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Worker } from "node:worker_threads"
import { sha256 } from "#sha256"
import { AppError } from "../../errors.ts"
import { type Audit, auditDatabase } from "../audit/audit.ts"
import { type DataFolder, findDataFolder, syncFolder, writeDurably } from "../data-folder.ts"
import { findLogPublicKey, isSecretFile } from "../secrets.ts"
import { fitting, namesIn, readSecretFiles } from "./fitting-secrets.ts"
import { type DatabaseHead, readHead } from "./head.ts"
import { backupTable, demandPassphrase, openSealedSecrets, sealSecrets } from "./sealed-secrets.ts"

export interface BackupOptions {
  readonly dataDir: string
  readonly file: string
  /** Replace a file that is there. */
  readonly force: boolean
  /** Seals the secrets folder into the backup; null leaves it out. */
  readonly passphrase: string | null
  /** Ends it: nothing is left then. */
  readonly signal: AbortSignal
}

export interface Backup {
  readonly file: string
  readonly audit: Audit
  /** Leaves of the log that it holds. */
  readonly size: number
  /** What lies in the secrets folder and was not sealed, since no server reads it. */
  readonly leftOut: readonly string[]
}

/** Copies a server's database as it stands at one moment, verifies the copy, and gives it its name: whole or not at all.
 * @throws NOT_ALLOWED where the file is there; TAMPERED_LOG where the copy does not verify; UNAVAILABLE_STORAGE for a full disk;
 * UNAVAILABLE where it was told to end */
export async function backUp(options: BackupOptions): Promise<Backup> {
  const { force, passphrase, signal } = options
  const folder = await findDataFolder(options.dataDir)
  const file = resolve(options.file)
  const there = await lstat(file).catch(() => null)
  if (there !== null && !force) throw taken()
  if (there !== null && !there.isFile())
    throw new AppError("NOT_ALLOWED", "What has this name is no ordinary file. Choose another name.")
  if ([folder.database, `${folder.database}-wal`, `${folder.database}-shm`].includes(file))
    throw new AppError("NOT_ALLOWED", "That is the server's own database. Choose another file for the backup.")
  if (!(await isFolder(dirname(file))))
    throw new AppError("UNAVAILABLE_STORAGE", `There is no folder ${dirname(file)}. Make it, or name another file.`)
  if (passphrase !== null) demandPassphrase(passphrase)
  // Read first: a server that is put back to an earlier state meanwhile makes new ones.
  const secrets = passphrase === null ? null : await readSecretFiles(folder, isSecretFile)
  const leftOut = passphrase === null ? [] : await strangersIn(folder)
  const logKey = await findLogPublicKey(folder)
  const part = join(dirname(file), `.${basename(file)}.partial`)
  try {
    await clear(part)
    await makePrivate(part)
    await copy(folder.database, part, signal).catch((cause) => demandCopyable(folder.database, logKey, cause))
    const head = readHead(part)
    if (secrets !== null && passphrase !== null) putSealed(part, sealSecrets(secrets, passphrase, head))
    const audit = await auditDatabase(part, logKey)
    if (audit.findings.length > 0) throw changed(audit)
    if (passphrase !== null) await demandOpens(part, passphrase, head)
    if (signal.aborted) throw ended()
    await sync(part)
    if (force) await rename(part, file)
    else await give(part, file)
    await clear(part)
    await syncFolder(dirname(file))
    await noteNewest(folder, head)
    return { file, audit, size: head.tree.size, leftOut }
  } catch (cause) {
    await clear(part).catch(() => {})
    throw refusalOf(cause)
  }
}

/** Opens what was sealed, as a restore would: what does not open, or does not let a server go on from this backup, is no backup.
 * @throws UNAVAILABLE_STORAGE */
async function demandOpens(part: string, passphrase: string, head: DatabaseHead): Promise<void> {
  const useless = (cause?: unknown) => {
    const advice =
      "The secrets folder does not let anybody restore this database: a file is missing or damaged, or there are more than a backup holds. " +
      "Put your copy of it back. No backup was made."
    return new AppError("UNAVAILABLE_STORAGE", advice, { cause })
  }
  const opened = await Promise.resolve()
    .then(() => openSealedSecrets(takeSealed(part), passphrase, head))
    .catch((cause) => {
      throw useless(cause)
    })
  if ((await fitting(opened, head.note, head.origin)) === null) throw useless()
}

/** What SQLite cannot copy was changed, or something else is wrong. */
async function demandCopyable(database: string, logKey: Uint8Array | null, cause: unknown): Promise<never> {
  const isOther = cause instanceof AppError || (refusalOf(cause) as AppError).message.includes("disk is full")
  const audit = isOther ? null : await auditDatabase(database, logKey).catch(() => null)
  throw audit === null || audit.findings.length === 0 ? cause : changed(audit)
}

/** An empty file that nobody else may read: SQLite takes one for a database, and makes its own for everybody. */
async function makePrivate(path: string): Promise<void> {
  const handle = await open(path, "wx", 0o600)
  await handle.close()
}

/** SQLite's own files beside a database go with it. */
export async function clear(database: string): Promise<void> {
  for (const end of ["", "-wal", "-shm", "-journal"]) await rm(`${database}${end}`, { force: true })
}

export async function sync(path: string): Promise<void> {
  const handle = await open(path, "r+")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Where a file system has no links, the name is looked at once more before it is taken. */
async function give(part: string, file: string): Promise<void> {
  try {
    await link(part, file)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST" || (await isThere(file))) throw taken()
    await rename(part, file)
  }
}

function copy(from: string, to: string, signal: AbortSignal): Promise<void> {
  return new Promise((done, failed) => {
    const worker = new Worker(new URL("./vacuum.ts", import.meta.url), {
      workerData: { from, to },
      // A thread says by itself that node:sqlite is experimental.
      execArgv: [...process.execArgv, "--disable-warning=ExperimentalWarning"],
    })
    const stop = () => void worker.terminate()
    if (signal.aborted) stop()
    signal.addEventListener("abort", stop, { once: true })
    worker.once("error", failed)
    worker.once("exit", (code) => {
      signal.removeEventListener("abort", stop)
      if (signal.aborted || code !== 0) failed(ended())
      else done()
    })
  })
}

function putSealed(file: string, sealed: Uint8Array): void {
  const database = new DatabaseSync(file)
  try {
    database.exec("pragma journal_mode = delete")
    database.exec(backupTable.sql)
    database.prepare(`insert into ${backupTable.name} values (1, ?, ?)`).run(sealed, sha256(sealed))
  } finally {
    database.close()
  }
}

/** What a server neither reads nor is just writing. */
async function strangersIn({ secrets }: DataFolder): Promise<string[]> {
  return (await namesIn(secrets)).filter((name) => !isSecretFile(name.replace(/\.new$/, "")))
}

function takeSealed(file: string): Uint8Array {
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    const row = database.prepare(`select sealed from ${backupTable.name}`).get()
    return new Uint8Array(row?.sealed as Uint8Array)
  } finally {
    database.close()
  }
}

/** The server says how far the newest verified backup reaches: what devices keep for a restore, they need not keep for longer. */
async function noteNewest(folder: DataFolder, { origin, tree }: DatabaseHead): Promise<void> {
  try {
    // A server that was put back meanwhile goes on with another log, and what is noted of that one stays.
    if (readHead(folder.database).origin !== origin) return
    await writeDurably(join(folder.path, newestBackup), `${origin} ${tree.size}\n`)
  } catch {
    // Devices keep what they have for longer.
  }
}

/** How many leaves of a log the newest verified backup of it holds; null where there is none, or none that the log can have had.
 * @param size of the log as it is now */
export async function newestBackupOf(
  folder: DataFolder,
  origin: string,
  size: number,
): Promise<{ readonly origin: string; readonly size: number } | null> {
  const text = await readFile(join(folder.path, newestBackup), "utf8").catch(() => "")
  const [, named, held] = /^([!-~]{1,200}) (\d{1,15})\n$/.exec(text) ?? []
  return named === origin && Number(held) <= size ? { origin, size: Number(held) } : null
}

/** Lies in the data folder. */
export const newestBackup = "newest-backup"

function isThere(file: string): Promise<boolean> {
  return lstat(file).then(
    () => true,
    () => false,
  )
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

function taken(): AppError {
  return new AppError("NOT_ALLOWED", "There is such a file already. Choose another name, or replace it with --force.")
}

function ended(): AppError {
  return new AppError("UNAVAILABLE", "The backup was stopped. No file was left.")
}

function changed({ findings }: Audit): AppError {
  const named = findings.slice(0, 10).map(({ row, what }) => `${row}: ${what}`)
  return new AppError(
    "TAMPERED_LOG",
    ["This database was changed behind Healthcrypt's back, so no backup was made of it. Run verify.", ...named].join(
      "\n",
    ),
  )
}

/** SQLite's result codes for a full or failing disk. Source: sqlite.org/rescode.html */
export function refusalOf(cause: unknown): unknown {
  // What was not given is for the command to say.
  if (cause instanceof AppError || (cause as Error).name === "UsageError") return cause
  const { errcode, code, message } = cause as { errcode?: number; code?: string; message?: string }
  const full =
    (errcode !== undefined && (errcode & 0xff) === 13) ||
    code === "ENOSPC" ||
    /database or disk is full/.test(message ?? "")
  if (full)
    return new AppError(
      "UNAVAILABLE_STORAGE",
      "The disk is full. Make room, or choose another place; no file was left.",
      { cause },
    )
  if (errcode !== undefined || code !== undefined) {
    const advice =
      "The file cannot be written, or the database cannot be read. Check both paths, whose they are, and the free space."
    return new AppError("UNAVAILABLE_STORAGE", advice, { cause })
  }
  return cause
}
