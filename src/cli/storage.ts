import { chmod, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises"
import { dirname, join, relative, sep } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { ClientStorage } from "../client/storage.ts"
import { AppError } from "../errors.ts"

const lockWaitMs = 15_000
const lockPollMs = 20

/** What a physician reads on without, where a device can store nothing: how far it has seen, and which device it is. */
const dispensable = /^(device$|pins\/)/

/** The command line's memory: one file a name under HEALTHCRYPT_HOME, readable by its owner alone.
 * @param tell told where the disk takes nothing, and of the reason: then work goes on without what is dispensable, and without a lock that
 * cannot be taken. Where it is left out, that is refused: a witness that forgets is none */
export function fileStorage(home: string, tell?: (reason: string) => void): ClientStorage {
  const fileOf = (name: string) => join(home, ...name.split("/").map((part) => part.replace(/[^A-Za-z0-9._-]/g, "_")))
  return {
    async get(name) {
      try {
        return new Uint8Array(await readFile(fileOf(name)))
      } catch (error) {
        if (isCode(error, "ENOENT")) return null
        throw unusable(home, error)
      }
    },
    async put(name, bytes, durability) {
      const file = fileOf(name)
      const temporary = `${file}.${process.pid}.new`
      try {
        await makeFolder(dirname(file))
        const handle = await open(temporary, "w", 0o600)
        try {
          await handle.writeFile(bytes)
          if (durability !== "relaxed") await handle.sync()
        } finally {
          await handle.close()
        }
        await chmod(temporary, 0o600)
        await rename(temporary, file)
        if (durability !== "relaxed") await syncFolder(dirname(file))
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => {})
        const reason = noRoom(error)
        if (reason !== null) tell?.(reason)
        if (reason === null || tell === undefined || !dispensable.test(name)) throw unusable(home, error)
      }
    },
    async delete(...names) {
      for (const name of names) await rm(fileOf(name), { force: true })
    },
    async list(prefix) {
      const names = await readdir(home, { recursive: true, withFileTypes: true }).catch(() => [])
      return names
        .filter((entry) => entry.isFile())
        .map((entry) => relative(home, join(entry.parentPath, entry.name)).split(sep).join("/"))
        .filter((name) => name.startsWith(prefix))
    },
    async exclusive(name, work) {
      const lock = `${fileOf(name)}.lock`
      const release = await makeFolder(dirname(lock))
        .then(() => takeLock(lock))
        .catch((error) => {
          if (error instanceof AppError) throw error
          const reason = noRoom(error)
          // Who cannot write a lock can write nothing else that it would guard.
          if (reason === null || tell === undefined) throw unusable(home, error)
          tell(reason)
          return () => {}
        })
      try {
        return await work()
      } finally {
        release()
      }
    },
  }
}

/** Makes a folder and those above it, one by one: on a file system that refuses, such as /proc, Node's own recursion never ends. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    if (isCode(error, "EEXIST")) return
    if (!isCode(error, "ENOENT") || dirname(path) === path) throw error
    await makeFolder(dirname(path))
    await mkdir(path, { mode: 0o700 }).catch((again) => {
      if (!isCode(again, "EEXIST")) throw again
    })
  }
}

/** Takes a lock that the system lets go of with the process, however that ends: an exclusive transaction on an empty database, which writes
 * nothing.
 * @returns what gives it back. @throws what is wrong with the disk */
async function takeLock(file: string): Promise<() => void> {
  // SQLite would let others read it, and so hold it.
  await (await open(file, "a", 0o600)).close()
  const database = new DatabaseSync(file, { timeout: 0 })
  for (const until = Date.now() + lockWaitMs; ; ) {
    try {
      database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")
      return () => database.close()
    } catch (cause) {
      if (!isBusy(cause)) {
        database.close()
        throw cause
      }
      if (Date.now() > until) {
        database.close()
        const message = "Another healthcrypt command holds your settings. Wait for it to end, then try again."
        throw new AppError("UNAVAILABLE", message, { cause })
      }
      await new Promise((resolve) => setTimeout(resolve, lockPollMs))
    }
  }
}

/** A rename lasts through a power cut once its folder is on the disk. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code
}

/** Whether somebody else has the lock: SQLITE_BUSY or SQLITE_LOCKED. */
function isBusy(error: unknown): boolean {
  const { errcode } = error as { errcode?: number }
  return errcode !== undefined && [5, 6].includes(errcode & 0xff)
}

/** Why a disk takes nothing, from anybody; null for another reason. Of SQLite: READONLY and FULL. A file that cannot be opened for another
 * reason, such as too many open ones, may be written a moment later: without its lock two commands would. */
function noRoom(error: unknown): string | null {
  const { code = "", errcode } = error as { code?: string; errcode?: number }
  if (["ENOSPC", "EDQUOT", "EROFS"].includes(code)) return code
  return errcode !== undefined && [8, 13].includes(errcode & 0xff) ? (error as Error).message : null
}

function unusable(home: string, cause: unknown): AppError {
  const reason = noRoom(cause)
  if (reason !== null)
    return new AppError(
      "UNAVAILABLE",
      `${home} takes nothing (${reason}). Make room there, or make its disk writable.`,
      { cause },
    )
  const message = `Cannot use ${home}. Make it readable and writable for yourself, or name another folder in HEALTHCRYPT_HOME.`
  return new AppError("UNAVAILABLE", message, { cause })
}
