import { chmod, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises"
import { dirname, join, relative, sep } from "node:path"
import type { ClientStorage } from "../client/storage.ts"
import { AppError } from "../errors.ts"

const lockWaitMs = 15_000
const lockPollMs = 20

/** The command line's memory: one file a name under HEALTHCRYPT_HOME, readable by its owner alone. */
export function fileStorage(home: string): ClientStorage {
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
    async put(name, bytes) {
      const file = fileOf(name)
      const temporary = `${file}.${process.pid}.new`
      try {
        await mkdir(dirname(file), { recursive: true, mode: 0o700 })
        const handle = await open(temporary, "w", 0o600)
        try {
          await handle.writeFile(bytes)
          await handle.sync()
        } finally {
          await handle.close()
        }
        await chmod(temporary, 0o600)
        await rename(temporary, file)
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => {})
        throw unusable(home, error)
      }
    },
    async delete(name) {
      await rm(fileOf(name), { force: true })
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
      await mkdir(dirname(lock), { recursive: true, mode: 0o700 }).catch((error) => {
        throw unusable(home, error)
      })
      await takeLock(lock)
      try {
        return await work()
      } finally {
        await rm(lock, { force: true })
      }
    },
  }
}

/** Waits for a lock file; one whose process is gone is taken over. */
async function takeLock(lock: string): Promise<void> {
  const until = Date.now() + lockWaitMs
  for (;;) {
    try {
      const handle = await open(lock, "wx", 0o600)
      await handle.writeFile(String(process.pid))
      await handle.close()
      return
    } catch (error) {
      if (!isCode(error, "EEXIST")) throw error
    }
    if (await isStale(lock)) await rm(lock, { force: true })
    else if (Date.now() > until)
      throw new AppError(
        "UNAVAILABLE",
        "Another healthcrypt command holds your settings. Wait for it to end, then try again.",
      )
    else await new Promise((resolve) => setTimeout(resolve, lockPollMs))
  }
}

async function isStale(lock: string): Promise<boolean> {
  try {
    const pid = Number(await readFile(lock, "utf8"))
    if (!Number.isInteger(pid) || pid <= 0) return Date.now() - (await stat(lock)).mtimeMs > lockWaitMs
    process.kill(pid, 0)
    return false
  } catch (error) {
    return isCode(error, "ESRCH")
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code
}

function unusable(home: string, cause: unknown): AppError {
  const message = `Cannot use ${home}. Make it readable and writable for yourself, or name another folder in HEALTHCRYPT_HOME.`
  return new AppError("UNAVAILABLE", message, { cause })
}
