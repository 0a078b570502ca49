import { closeSync, openSync, readSync } from "node:fs"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Leak, Search } from "./leaks.ts"

export interface Found extends Leak {
  readonly where: string
}

const pieceBytes = 8 * 1024 * 1024

/** Looks through every file of a folder, and through the names of the files. */
export async function searchFolder(search: Search, folder: string): Promise<{ found: Found[]; files: string[] }> {
  const found: Found[] = []
  const files: string[] = []
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    found.push(...search.find(Buffer.from(path)).map((leak) => ({ ...leak, where: `the name of ${path}` })))
    if (!entry.isFile()) continue
    // A browser's files come and go.
    const bytes = await readFile(path).catch(() => null)
    if (bytes === null) continue
    files.push(path)
    found.push(...search.find(bytes).map((leak) => ({ ...leak, where: path })))
  }
  return { found, files }
}

/** Looks through everything of a process's memory that can be read. @returns also how many bytes that was */
export async function searchMemory(search: Search, pid: number): Promise<{ found: Found[]; bytes: number }> {
  const found = new Map<string, Found>()
  const maps = await readFile(`/proc/${pid}/maps`, "utf8")
  const memory = openSync(`/proc/${pid}/mem`, "r")
  const piece = Buffer.allocUnsafe(pieceBytes + search.overlap)
  let bytes = 0
  try {
    for (const line of maps.split("\n")) {
      const match = /^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+\s*(.*)$/.exec(line)
      if (match === null || match[3] === "[vvar]" || match[3] === "[vsyscall]") continue
      const [start, end] = [Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)]
      for (let at = start; at < end; at += pieceBytes) {
        const read = readPiece(memory, piece, at, Math.min(piece.length, end - at))
        bytes += Math.min(read, pieceBytes)
        for (const leak of search.find(piece, read)) {
          const where = `memory ${match[1]}-${match[2]} ${match[3]}`.trim()
          found.set(`${leak.needle} ${leak.how} ${where}`, { ...leak, where })
        }
      }
    }
  } finally {
    closeSync(memory)
  }
  return { found: [...found.values()], bytes }
}

/** Memory that is unmapped in between reads as nothing. */
function readPiece(memory: number, piece: Buffer, at: number, length: number): number {
  let read = 0
  try {
    while (read < length) {
      const got = readSync(memory, piece, read, length - read, at + read)
      if (got === 0) break
      read += got
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== "EIO" && code !== "EFAULT") throw error
  }
  return read
}
