import { spawnSync } from "node:child_process"
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"

const filler = "filler"

/** A file system of a few megabytes, in memory. */
export interface SmallDisk {
  readonly path: string
  /** Leaves not a byte of room. */
  fill(): void
  free(): void
  remount(how: "ro" | "rw"): void
  unmount(): void
}

/** Whether this user may mount one: elsewhere the tests are skipped, and say so. */
export const canMount = mounts()

/** @param path an empty folder, made where there is none */
export function smallDisk(path: string, megabytes: number): SmallDisk {
  mkdirSync(path, { recursive: true })
  run("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=700`, "none", path])
  const file = join(path, filler)
  return {
    path,
    fill() {
      const to = openSync(file, "a")
      for (const size of [65_536, 4096, 1]) {
        try {
          for (;;) writeSync(to, Buffer.alloc(size))
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error
        }
      }
      closeSync(to)
    },
    free: () => rmSync(file),
    remount: (how) => run("mount", ["-o", `remount,${how}`, path]),
    unmount: () => run("umount", ["-l", path]),
  }
}

function mounts(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false
  const script = 'd=$(mktemp -d) && mount -t tmpfs -o size=1m none "$d" && umount "$d" && rmdir "$d"'
  return spawnSync("sh", ["-c", script]).status === 0
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args)
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`)
}
