import { matchesGlob } from "node:path"
import { join, normalize } from "node:path/posix"
import { scan } from "./scan.ts"
import type { ImportTable } from "./table.ts"

/** Path from the root of the tree, such as `src/vault/seal.ts` → text. */
export type Sources = ReadonlyMap<string, string>

/** The `imports` of package.json: each name with every file that it may stand for. */
export type Aliases = ReadonlyMap<string, readonly string[]>

/** Tests, and what only they use, may import whatever they need; nothing else may import them. */
export function isTestCode(path: string): boolean {
  return /\.(test|fixture)\.tsx?$/.test(path)
}

/** Everything in `src/` that the table does not allow, a line each: who reaches for what. */
export function findViolations(sources: Sources, table: ImportTable, aliases: Aliases): string[] {
  return [...sources]
    .filter(([path]) => !isTestCode(path))
    .flatMap(([path, text]) => violationsOf(path, text, table, aliases).map((what) => `${path}: ${what}`))
}

/** npm packages that the non-test code of these folders names, types included. */
export function packagesOf(sources: Sources, folders: readonly string[]): string[] {
  const names = [...sources]
    .filter(([path]) => !isTestCode(path) && folders.includes(folderOf(path) ?? ""))
    .flatMap(([path, text]) => scan(path, text).specifiers)
    .filter((specifier) => /^[@a-z]/.test(specifier) && !specifier.startsWith("node:"))
    .map((specifier) => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/"))
  return [...new Set(names)].sort()
}

/** The folder of a path in `src/`; `errors` for the one file that everybody may import; `null` for a file that has no place. */
function folderOf(path: string): string | null {
  if (path === "src/errors.ts") return "errors"
  return /^src\/([a-z]+)\/./.exec(path)?.[1] ?? null
}

function violationsOf(path: string, text: string, table: ImportTable, aliases: Aliases): string[] {
  const folder = folderOf(path)
  const rule = folder === "errors" ? { folders: [], platform: new Map() } : table.folders.get(folder ?? "")
  if (folder === null || rule === undefined) return ["lies in no folder of the table"]
  const { specifiers, globals, unclear } = scan(path, text)
  const more = table.files.filter(({ pattern }) => matchesGlob(path, pattern)).flatMap(({ folders }) => folders)
  const allowed = new Set([folder, "errors", ...rule.folders, ...more])
  const found = unclear.map((kind) => `${kind} that nobody can check`)
  for (const specifier of specifiers) {
    if (specifier.startsWith("node:")) {
      const files: readonly string[] = rule.platform?.get(specifier) ?? []
      const here = rule.platform === null || files.some((file) => path === `src/${folder}/${file}`)
      if (!here || folder === "web") found.push(`imports ${specifier}`)
      continue
    }
    for (const target of targetsOf(path, specifier, aliases)) {
      const to = folderOf(target)
      if (isTestCode(target)) found.push(`imports ${specifier}, which is there for tests`)
      else if (to === null ? !isOutside(target) : !allowed.has(to)) found.push(`imports ${specifier}`)
    }
  }
  if (rule.platform !== null) found.push(...globals.map((name) => `uses ${name}`))
  return found
}

/** The files of this tree that a specifier stands for; none for a package. */
function targetsOf(path: string, specifier: string, aliases: Aliases): readonly string[] {
  const plain = specifier.replace(/\?.*$/, "")
  if (plain.startsWith("#")) return aliases.get(plain) ?? [`src/${plain}`]
  if (plain.startsWith("/")) return [normalize(plain.slice(1))]
  return plain.startsWith(".") ? [join(path, "..", plain)] : []
}

/** Beyond `src/` there is only what does not run: package.json, the built page. */
function isOutside(target: string): boolean {
  return target === "package.json" || target === "dist/web" || target.startsWith("dist/web/")
}
