import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { glob, readdir, readFile } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { AppError, type ErrorCode, errors } from "../src/errors.ts"

const root = join(import.meta.dirname, "..")
const pages = new Map(await Promise.all((await pageNames()).map(async (name) => [name, await text(name)] as const)))

describe("docs/errors.md", () => {
  const rows = tableRows(pages.get("docs/errors.md")!, "code")

  it("lists every code of src/errors.ts with its status, in the same order, and no other", () => {
    const listed = rows.map(([code, status]) => [unquoted(code!), Number(status)])
    expect(listed).toEqual(Object.entries(errors).map(([code, [status]]) => [code, status]))
  })

  it("says of each what it means and what to do", () => {
    for (const row of rows) {
      expect(row).toHaveLength(4)
      expect(
        row.every((cell) => cell.length > 2),
        row[0],
      ).toBe(true)
    }
  })

  it("lists every family", () => {
    const families = tableRows(pages.get("docs/errors.md")!, "family").map(([family]) => unquoted(family!))
    for (const code of Object.keys(errors) as ErrorCode[])
      expect(
        families.filter((family) => new AppError(code).is(family)),
        code,
      ).toHaveLength(1)
  })
})

describe("docs/threat-model.md", () => {
  it("links a test for every goal", () => {
    const goals = tableRows(pages.get("docs/threat-model.md")!, "goal")
    expect(goals.length).toBeGreaterThan(10)
    for (const cells of goals) {
      const tests = linksIn(cells.at(-1)!)
      expect(tests.length, cells[0]).toBeGreaterThan(0)
      for (const link of tests) {
        expect(link).toMatch(/\.test\.tsx?$/)
        expect(existsSync(join(root, "docs", link)), link).toBe(true)
      }
    }
  })
})

describe.each([...pages])("%s", (name, page) => {
  it("has links that lead somewhere", async () => {
    const broken: string[] = []
    for (const link of linksIn(page)) {
      if (/^[a-z]+:/.test(link)) continue
      const [path, anchor] = link.split("#") as [string, string | undefined]
      const target = path === "" ? name : relative(root, join(root, dirname(name), path))
      if (!existsSync(join(root, target))) broken.push(link)
      else if (anchor !== undefined && !anchorsOf(await text(target)).includes(anchor)) broken.push(link)
    }
    expect(broken).toEqual([])
  })

  it("names files that are there", async () => {
    const named = [...page.matchAll(/`((?:src|test|bench|docs|bin)\/[\w./*-]*[\w*/])`/g)].map(([, path]) => path!)
    for (const path of new Set(named)) {
      const found = await Array.fromAsync(glob(path, { cwd: root }))
      expect(found.length, path).toBeGreaterThan(0)
    }
  })

  it("names codes, scripts and variables that are there", async () => {
    const families = [...new Set(Object.keys(errors).map((code) => /^[A-Z]+/.exec(code)![0]))]
    for (const [, code] of page.matchAll(/`([A-Z]+_[A-Z_]+)`/g))
      if (families.includes(/^[A-Z]+/.exec(code!)![0]))
        expect(
          Object.keys(errors).some((known) => known === code || known.startsWith(`${code}_`)),
          code,
        ).toBe(true)
    const { scripts } = JSON.parse(await text("package.json"))
    for (const [, script] of page.matchAll(/\bnpm run ([a-z:-]+)/g)) expect(Object.keys(scripts)).toContain(script)
    for (const [script] of page.matchAll(/\bnpm (start|test)\b/g))
      expect(Object.keys(scripts)).toContain(script.slice(4))
    const sources = await allSources()
    for (const [variable] of page.matchAll(/\bHEALTHCRYPT_[A-Z_]+\b/g)) expect(sources, variable).toContain(variable)
  })

  it("claims nothing that nobody can hold", () => {
    expect(page).not.toMatch(/zero[- ]knowledge|military[- ]grade|unbreakable|unhackable/i)
  })
})

describe("the command line that the pages speak of", () => {
  const spoken = [...pages].flatMap(([name, page]) => commandsIn(page).map((command) => ({ name, ...command })))

  it("is spoken of", () => {
    expect(spoken.length).toBeGreaterThan(15)
    expect(
      new Set(spoken.filter(({ name }) => name === "README.md").map(({ words }) => words[0])).size,
    ).toBeGreaterThan(8)
  })

  it("has those commands and those options", async () => {
    const known = await helpOf([])
    const helps = new Map<string, string>()
    for (const { name, words, options } of spoken) {
      const [first = "", second = ""] = words
      expect(known, `${name}: healthcrypt ${words.join(" ")}`).toMatch(new RegExp(`^  ${first}\\b`, "m"))
      const group = helps.get(first) ?? (await helpOf([first]))
      helps.set(first, group)
      const isGroup = /^Commands:/m.test(group)
      if (isGroup && second !== "")
        expect(group, `${name}: healthcrypt ${words.join(" ")}`).toMatch(new RegExp(`^  ${second}\\b`, "m"))
      const command = isGroup && second !== "" ? [first, second] : [first]
      const help = helps.get(command.join(" ")) ?? (await helpOf(command))
      helps.set(command.join(" "), help)
      for (const option of options)
        expect(help, `${name}: healthcrypt ${command.join(" ")} ${option}`).toMatch(
          new RegExp(`(^|[ ,])${option}\\b`, "m"),
        )
    }
  }, 300_000)
})

/** `healthcrypt …` in code spans and blocks: leading words, and options. */
function commandsIn(page: string): { words: string[]; options: string[] }[] {
  const code = [...page.matchAll(/`([^`\n]+)`|^ {4}(.+)$/gm)].map(([, span, block]) => (span ?? block)!)
  const inTables = [...page.matchAll(/^\| `(healthcrypt [^`]+)` .*$/gm)].map(([row, command]) =>
    [command, ...[...row.matchAll(/`(--?[a-z][a-z-]*)/g)].map(([, option]) => option)].join(" "),
  )
  return [...code, ...inTables]
    .flatMap((line) => [...line.matchAll(/(?:^|npx |\$ )healthcrypt ((?:[^#|&\n]|\|(?! ))+)/g)])
    .map(([, rest]) => rest!.trim().split(/\s+/))
    .map((parts) => ({
      words: parts.slice(0, parts.findIndex((part) => !/^[a-z]+$/.test(part)) >>> 0),
      options: parts.flatMap((part) => /^\[?(--?[a-z][a-z-]*)/.exec(part)?.[1] ?? []),
    }))
    .filter(({ words }) => words.length > 0)
}

async function helpOf(command: readonly string[]): Promise<string> {
  const args = [join(root, "src/cli/main.ts"), ...command, "--help"]
  return (await promisify(execFile)(process.execPath, args)).stdout
}

/** The cells of every row under a table whose first heading is this. */
function tableRows(page: string, heading: string): string[][] {
  const table = new RegExp(`^\\| ${heading} .*\\n\\|[ |-]+\\n((?:\\|.*\\n?)+)`, "m").exec(page)
  if (table === null) throw new Error(`no table begins with "${heading}"`)
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

function unquoted(cell: string): string {
  return cell.replace(/^`|`$/g, "")
}

function linksIn(page: string): string[] {
  const prose = page.replaceAll(/^```.*?^```/gms, "").replaceAll(/`[^`\n]*`/g, "")
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!)
}

/** As GitHub makes them of headings. */
function anchorsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  )
}

async function pageNames(): Promise<string[]> {
  const docs = (await readdir(join(root, "docs"), { recursive: true })).map((name) => `docs/${name}`)
  return [...(await readdir(root)), ...docs].filter((name) => name.endsWith(".md")).sort()
}

async function allSources(): Promise<string> {
  const names = ["src", "test", "bench", "bin"].map((folder) => `${folder}/**/*.{ts,tsx,js}`)
  const paths = await Array.fromAsync(glob(names, { cwd: root }))
  return (await Promise.all(paths.filter((path) => path !== "test/docs.test.ts").map(text))).join("\n")
}

function text(name: string): Promise<string> {
  return readFile(join(root, name), "utf8")
}
