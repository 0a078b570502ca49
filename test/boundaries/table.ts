import { readFile } from "node:fs/promises"
import { join } from "node:path"

/** What docs/architecture.md says that each part may import. */
export interface ImportTable {
  readonly folders: ReadonlyMap<string, FolderRule>
  readonly files: readonly FileRule[]
}

interface FolderRule {
  readonly folders: readonly string[]
  /** `null`: all that the platform has. Otherwise the built-in modules of Node, each with the files that may import it. */
  readonly platform: ReadonlyMap<string, readonly string[]> | null
}

interface FileRule {
  /** A path in which `*` stands for any part of a name, such as `src/cli/serve*.ts`. */
  readonly pattern: string
  readonly folders: readonly string[]
}

/** Reads the two tables of the page. @throws where a row is not understood, so that no row is passed over in silence */
export async function readImportTable(root: string): Promise<ImportTable> {
  return parseImportTable(await readFile(join(root, "docs/architecture.md"), "utf8"))
}

export function parseImportTable(page: string): ImportTable {
  const folders = rows(page, "folder").map(([folder, may, platform]) => {
    const rule = { folders: names(may!), platform: platform === "anything" ? null : builtIns(platform!) }
    return [only(folder!), rule] as const
  })
  const files = rows(page, "files").flatMap(([patterns, may]) =>
    names(patterns!).map((pattern) => ({ pattern, folders: names(may!) })),
  )
  return { folders: new Map(folders), files }
}

/** The cells of the table whose first heading is this. */
function rows(page: string, heading: string): string[][] {
  const table = new RegExp(`^\\| ${heading} .*\\n\\|[ |-]+\\n((?:\\|.*\\n)+)`, "m").exec(page)
  if (table === null) throw new Error(`docs/architecture.md has no table that begins with "${heading}"`)
  return table[1]!
    .trim()
    .split("\n")
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

function names(cell: string): string[] {
  if (cell === "nothing") return []
  return cell.split(", ").map(only)
}

function only(cell: string): string {
  const name = /^`([^`]+)`$/.exec(cell)
  if (name === null) throw new Error(`docs/architecture.md: cannot read "${cell}"`)
  return name[1]!
}

function builtIns(cell: string): Map<string, readonly string[]> {
  if (cell === "nothing") return new Map()
  const [, module, files] = /^`(node:[a-z]+)` in (`[^`]+`(?: and `[^`]+`)*)$/.exec(cell) ?? []
  if (module === undefined || files === undefined) throw new Error(`docs/architecture.md: cannot read "${cell}"`)
  return new Map([[module, files.split(" and ").map(only)]])
}
