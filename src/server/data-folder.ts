import { constants, existsSync, readFileSync, statSync } from "node:fs"
import { access, chmod, mkdir, open, readdir, rename, stat } from "node:fs/promises"
import { homedir } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { isMainThread } from "node:worker_threads"
import { AppError } from "../errors.ts"

/** Long enough for a server that was just killed to be gone. */
const lockWaitMs = 1500
const lockName = "lock.db"

/** Where a server keeps everything. */
export interface DataFolder {
  readonly path: string
  /** The database file; there may be `-wal` and `-shm` beside it. */
  readonly database: string
  readonly secrets: string
}

/** A data folder that this process alone may write to. */
export interface ClaimedFolder extends DataFolder {
  /** False on a file system that takes nothing: then nothing is locked, for nobody can write. */
  readonly writable: boolean
  release(): void
}

export function dataFolder(path: string): DataFolder {
  const whole = resolve(path)
  return { path: whole, database: join(whole, "healthcrypt.db"), secrets: join(whole, "secrets") }
}

/** Makes the folder where there is none and takes it for this process. The claim is a lock of the operating system's on
 * `lock.db`, so it ends with the process, however that ends.
 * @throws NOT_ALLOWED when others may read the folder or it is somebody else's, UNAVAILABLE when another server has it,
 * UNAVAILABLE_STORAGE when it cannot be written. */
export async function claimDataFolder(path: string): Promise<ClaimedFolder> {
  const folder = dataFolder(path)
  // Whatever SQLite makes later, such as -wal, is its owner's alone, too.
  if (isMainThread) process.umask(0o077)
  try {
    const made = await makeFolder(folder.path)
    if (made !== undefined) await syncFolder(dirname(made))
    await tightenIfEmpty(folder.path)
  } catch (cause) {
    throw (await isFile(folder.path)) ? noFolder(folder.path, cause) : unwritable(folder.path, cause)
  }
  await demandOwn(folder)
  await demandPrivate(folder.path)
  try {
    await access(folder.path, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (cause) {
    const readOnly = (cause as NodeJS.ErrnoException).code === "EROFS"
    if (readOnly && existsSync(folder.database)) return { ...folder, writable: false, release: () => {} }
    throw unwritable(folder.path, cause)
  }
  return { ...folder, writable: true, release: lock(folder.path) }
}

/** A folder that is there and that somebody else may be writing to: for commands that read.
 * @throws UNAVAILABLE_STORAGE when there is no database in it */
export async function findDataFolder(path: string): Promise<DataFolder> {
  const folder = dataFolder(path)
  try {
    await access(folder.database, constants.R_OK)
    return folder
  } catch (cause) {
    if (await isFile(folder.path)) throw noFolder(folder.path, cause)
    const advice =
      `There is no database to read at ${folder.database}. ` +
      "Name the server's folder with --data, as the user that runs the server."
    throw new AppError("UNAVAILABLE_STORAGE", advice, { cause })
  }
}

/** A folder of other things that others look into must not be closed to them: the data needs one of its own.
 * @throws NOT_ALLOWED where an open folder holds something, and no server has ever kept its data there */
async function demandOwn({ path, database, secrets }: DataFolder): Promise<void> {
  const uid = process.geteuid?.()
  const found = await stat(path)
  if (uid === undefined || (found.uid === uid && (found.mode & 0o077) === 0)) return
  // What cannot be listed is somebody else's, which the next check says.
  const names = await readdir(path).catch((): string[] => [])
  if (names.length === 0 || [basename(database), lockName].some((name) => names.includes(name))) return
  // A copy of the secrets that waits for a restore.
  if (names.every((name) => name === basename(secrets))) return
  const mayWrite = await access(path, constants.W_OK).then(
    () => true,
    () => false,
  )
  const example = join(mayWrite ? path : homedir(), "healthcrypt-data")
  throw new AppError(
    "NOT_ALLOWED",
    `${path} holds other things, and other users of this machine may look into it. The data needs a folder of its own. ` +
      `Choose one, such as --data '${example}'.`,
  )
}

/** @throws NOT_ALLOWED unless the folder is this user's and nobody else may look into it */
export async function demandPrivate(path: string): Promise<void> {
  const uid = process.geteuid?.()
  if (uid === undefined) return
  const found = await stat(path)
  if (!found.isDirectory()) throw new AppError("UNAVAILABLE_STORAGE", `${path} is not a folder. Choose another.`)
  if (found.uid !== uid)
    throw new AppError(
      "NOT_ALLOWED",
      `${path} belongs to another user. Run the server as that user, or choose another.`,
    )
  if ((found.mode & 0o077) !== 0)
    throw new AppError("NOT_ALLOWED", `Other users of this machine may look into ${path}. Run: chmod 700 '${path}'`)
}

/** Writes a file that is whole or not there at all, even if the power fails. Its owner alone may read it. */
export async function writeDurably(path: string, content: string): Promise<void> {
  const temporary = `${path}.new`
  const file = await open(temporary, "w", 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  await syncFolder(dirname(path))
}

/** Makes renames and removals in a folder last. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return
  const folder = await open(path, "r")
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Makes a folder and those above it, one by one: on a file system that refuses, such as /proc, Node's own recursion never ends.
 * @returns the topmost that was made; undefined where the folder was there. */
async function makeFolder(path: string): Promise<string | undefined> {
  try {
    await mkdir(path, { mode: 0o700 })
    return path
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return undefined
    if (code !== "ENOENT" || dirname(path) === path) throw cause
    const above = await makeFolder(dirname(path))
    await mkdir(path, { mode: 0o700 })
    return above ?? path
  }
}

/** A folder that was made by hand for this is taken over: nothing in it can have been meant for others. */
async function tightenIfEmpty(path: string): Promise<void> {
  const found = await stat(path)
  const ours = found.uid === process.geteuid?.()
  if (!ours || (found.mode & 0o077) === 0 || (await readdir(path)).length > 0) return
  await chmod(path, 0o700)
}

function lock(path: string): () => void {
  const file = join(path, lockName)
  let database: DatabaseSync | null = null
  try {
    database = new DatabaseSync(file, { timeout: lockWaitMs })
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")
  } catch (cause) {
    database?.close()
    const code = (cause as { errcode?: number }).errcode
    if (code !== undefined && (code & 0xff) === 5) {
      const advice = `Another Healthcrypt server is running on ${path}${holderOf(file)}. Stop that one first, or choose another folder with --data.`
      throw new AppError("UNAVAILABLE", advice, { cause })
    }
    throw unwritable(path, cause)
  }
  const held = database
  return () => held.close()
}

/** Which process has the lock, where the system says so: on Linux. */
function holderOf(file: string): string {
  try {
    const { ino } = statSync(file)
    const pid = new RegExp(`^\\d+: \\S+ +\\S+ +WRITE +([1-9]\\d*) \\w+:\\w+:${ino} `, "m").exec(
      readFileSync("/proc/locks", "utf8"),
    )
    return pid === null ? "" : ` (process ${pid[1]})`
  } catch {
    return ""
  }
}

function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => !found.isDirectory(),
    () => false,
  )
}

function noFolder(path: string, cause: unknown): AppError {
  return new AppError("UNAVAILABLE_STORAGE", `${path} is a file, not a folder. Choose another folder with --data.`, {
    cause,
  })
}

function unwritable(path: string, cause: unknown): AppError {
  const code = (cause as NodeJS.ErrnoException).code
  const reason = code ? ` (${code})` : ""
  return new AppError(
    "UNAVAILABLE_STORAGE",
    `${path} cannot be written to${reason}. Choose another folder with --data.`,
    {
      cause,
    },
  )
}
