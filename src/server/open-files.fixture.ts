import { existsSync, readdirSync, readlinkSync } from "node:fs"
import { join } from "node:path"

const descriptors = "/proc/self/fd"

/** Whether this system tells which files a process has open. */
export const seesOpenFiles = existsSync(descriptors)

/** How many files of a folder this process has open. */
export function openFilesIn(folder: string): number {
  return readdirSync(descriptors).filter((name) => pathOf(name).startsWith(folder)).length
}

/** Empty where it was closed meanwhile. */
function pathOf(name: string): string {
  try {
    return readlinkSync(join(descriptors, name))
  } catch {
    return ""
  }
}
