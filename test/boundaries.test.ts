import { readdir, readFile } from "node:fs/promises"
import { join, normalize } from "node:path"
import { describe, expect, it } from "vitest"
import { foldersOf, reachOf } from "./boundaries/reach.ts"
import { type Aliases, findViolations, isTestCode, packagesOf, type Sources } from "./boundaries/rules.ts"
import { parseImportTable, readImportTable } from "./boundaries/table.ts"

const root = join(import.meta.dirname, "..")
const table = await readImportTable(root)
const sources = await readSources()
const aliases = await readAliases()

/** What the server's own code names. A new line here is a package that somebody has looked at. */
const serverPackages = [
  "@fastify/cookie",
  "@fastify/static",
  "@noble/curves",
  "@noble/hashes",
  "@peculiar/x509",
  "@serenity-kit/opaque",
  "cborg",
  "fastify",
  "fastify-type-provider-zod",
  "kysely",
  "reflect-metadata",
  "zod",
]

describe("every import in src/", () => {
  it("is one that docs/architecture.md allows", () => {
    expect(sources.size).toBeGreaterThan(100)
    expect(findViolations(sources, table, aliases)).toEqual([])
  })

  const planted: readonly [why: string, path: string, code: string, refused: string][] = [
    ["encoding imports proof", "src/encoding/ids.ts", 'import "../proof/merkle.ts"', "imports ../proof/merkle.ts"],
    ["proof imports the vault", "src/proof/chain.ts", 'import "../vault/keys.ts"', "imports ../vault/keys.ts"],
    ["the vault imports the client", "src/vault/seal.ts", 'import "../client/ids.ts"', "imports ../client/ids.ts"],
    ["the vault imports a module of Node", "src/vault/seal.ts", 'import "node:fs"', "imports node:fs"],
    ["the vault imports crypto beside its engine", "src/vault/seal.ts", 'import "node:crypto"', "imports node:crypto"],
    [
      "the engine imports the disk",
      "src/vault/engine.node.ts",
      'import "node:fs/promises"',
      "imports node:fs/promises",
    ],
    ["the vault fetches", "src/vault/seal.ts", 'export const x = () => fetch("/")', "uses fetch"],
    ["the vault fetches by another way", "src/vault/seal.ts", 'globalThis["fet" + "ch"]("/")', "uses globalThis"],
    ["the vault stores", "src/vault/keys.ts", 'indexedDB.open("x")', "uses indexedDB"],
    ["the vault prints", "src/vault/keys.ts", "console.log(1)", "uses console"],
    ["the client reads the environment", "src/client/pins.ts", "export const x = process.env", "uses process"],
    ["clinical fetches", "src/clinical/view.ts", "export const x = { get: fetch }", "uses fetch"],
    [
      "the server imports the vault",
      "src/server/app.ts",
      'import { open } from "../vault/seal.ts"',
      "imports ../vault/seal.ts",
    ],
    [
      "… for a type",
      "src/server/app.ts",
      'import type { SealOptions } from "../vault/seal.ts"',
      "imports ../vault/seal.ts",
    ],
    [
      "… for a type among others",
      "src/server/app.ts",
      'import { type SealOptions } from "../vault/seal.ts"',
      "imports ../vault/seal.ts",
    ],
    [
      "… for an import type",
      "src/server/app.ts",
      'export type X = import("../vault/seal.ts").SealOptions',
      "imports ../vault/seal.ts",
    ],
    [
      "… for a typeof import",
      "src/server/app.ts",
      'export type X = typeof import("../vault/seal.ts")',
      "imports ../vault/seal.ts",
    ],
    ["… later", "src/server/app.ts", 'export const x = () => import("../vault/seal.ts")', "imports ../vault/seal.ts"],
    [
      "… in a template",
      "src/server/app.ts",
      "export const x = import(`../vault/seal.ts`)",
      "import(…) that nobody can check",
    ],
    [
      "… by a name made up later",
      "src/server/app.ts",
      'export const x = (n: string) => import("../" + n)',
      "import(…) that nobody can check",
    ],
    ["… as a re-export", "src/server/app.ts", 'export * from "../vault/seal.ts"', "imports ../vault/seal.ts"],
    [
      "… as a type re-export",
      "src/server/app.ts",
      'export type { SealOptions } from "../vault/seal.ts"',
      "imports ../vault/seal.ts",
    ],
    [
      "… by a longer way round",
      "src/server/routes/entries.ts",
      'import "../../../src/vault/seal.ts"',
      "imports ../../../src/vault/seal.ts",
    ],
    ["… from the root", "src/server/app.ts", 'import "/src/vault/seal.ts"', "imports /src/vault/seal.ts"],
    ["… by its alias", "src/server/app.ts", 'import { mac } from "#engine"', "imports #engine"],
    ["… by require", "src/server/app.ts", 'require("../vault/seal.ts")', "imports ../vault/seal.ts"],
    [
      "… by import = require",
      "src/server/app.ts",
      'import x = require("../vault/seal.ts")',
      "imports ../vault/seal.ts",
    ],
    [
      "… as a worker's address",
      "src/server/app.ts",
      'new URL("../vault/seal.ts", import.meta.url)',
      "imports ../vault/seal.ts",
    ],
    ["… by reference", "src/server/app.ts", '/// <reference path="../vault/seal.ts" />', "imports ../vault/seal.ts"],
    ["… all of it", "src/server/app.ts", 'import.meta.glob("../vault/*.ts")', "import.meta.glob that nobody can check"],
    ["the server imports clinical", "src/server/log.ts", 'import "../clinical/fhir.ts"', "imports ../clinical/fhir.ts"],
    [
      "the server imports the client",
      "src/server/log.ts",
      'import type {} from "../client/views.ts"',
      "imports ../client/views.ts",
    ],
    [
      "the server imports a test client",
      "src/server/app.ts",
      'import "./client.fixture.ts"',
      "imports ./client.fixture.ts, which is there for tests",
    ],
    [
      "the page imports the vault",
      "src/web/app.ts",
      'import type {} from "../vault/seal.ts"',
      "imports ../vault/seal.ts",
    ],
    [
      "the page's worker imports the vault past the client",
      "src/web/worker.ts",
      'import "../vault/seal.ts"',
      "imports ../vault/seal.ts",
    ],
    ["the page imports a module of Node", "src/web/app.ts", 'import "node:fs"', "imports node:fs"],
    ["the page imports a test", "src/web/app.ts", 'import "../../test/server.ts"', "imports ../../test/server.ts"],
    ["a command imports the server", "src/cli/records.ts", 'import "../server/main.ts"', "imports ../server/main.ts"],
    ["serve imports proof", "src/cli/serve.ts", 'import "../proof/merkle.ts"', "imports ../proof/merkle.ts"],
    ["verify imports the vault", "src/cli/verify.ts", 'import "../vault/seal.ts"', "imports ../vault/seal.ts"],
    ["errors imports something", "src/errors.ts", 'import "./encoding/ids.ts"', "imports ./encoding/ids.ts"],
    ["a file stands beside the folders", "src/helpers.ts", "export {}", "lies in no folder of the table"],
    ["a folder is new", "src/shared/x.ts", "export {}", "lies in no folder of the table"],
  ]
  it.each(planted)("would be refused: %s", (_, path, code, refused) => {
    expect(findViolations(planting(path, code), table, aliases)).toContain(`${path}: ${refused}`)
  })

  const harmless: readonly [why: string, path: string, code: string][] = [
    [
      "a word in a comment or a text",
      "src/vault/seal.ts",
      "// fetch\nexport const x = \"fetch(1), import('node:fs')\"",
    ],
    [
      "a property or a key of that name",
      "src/vault/seal.ts",
      "export const x = (a: { fetch: 1 }) => ({ document: a.fetch })",
    ],
    [
      "a parameter or a constant of that name",
      "src/clinical/view.ts",
      "export const x = (document: string) => document",
    ],
    ["the type of it", "src/client/pins.ts", "export type X = typeof fetch"],
    [
      "crypto, streams, clock and timers",
      "src/vault/seal.ts",
      "crypto.subtle; new CompressionStream('gzip'); Date.now()",
    ],
    ["verify imports proof", "src/cli/verify-all.ts", 'import "../proof/merkle.ts"'],
    ["a test imports anything", "src/server/app.test.ts", 'import "../vault/seal.ts"'],
  ]
  it.each(harmless)("would be let through: %s", (_, path, code) => {
    expect(findViolations(planting(path, code), table, aliases)).toEqual([])
  })

  it("is read from tables that are understood to the last cell", () => {
    expect([...table.folders.keys()].sort()).toEqual(
      ["client", "clinical", "cli", "encoding", "proof", "protocol", "server", "vault", "web"].sort(),
    )
    expect(table.files.map(({ pattern }) => pattern)).toContain("src/cli/verify*.ts")
    const page = (row: string) =>
      `| folder | may import | of the platform |\n| - | - | - |\n${row}\n\n| files | x |\n| - | - |\n`
    expect(() => parseImportTable(page("| `a` | everything | nothing |"))).toThrow("everything")
    expect(() => parseImportTable(page("| `a` | nothing | some |"))).toThrow("some")
    expect(() => parseImportTable("")).toThrow("no table")
  })
})

describe("what an entry reaches", () => {
  const forbidden = ["vault", "clinical", "client", "web"]

  it("the server: nothing that opens anything", async () => {
    const reach = await reachOf(root, "src/server/main.ts", "node")
    expect(reach.files).toContain("src/server/app.ts")
    expect(foldersOf(reach)).toEqual(["encoding", "errors", "proof", "protocol", "server"])
  })

  it("the server, with a violation planted three steps away: seen", async () => {
    const planted = { "src/proof/statement.ts": 'export { open } from "../vault/seal.ts"' }
    const reach = await reachOf(root, "src/server/main.ts", "node", planted)
    expect(foldersOf(reach)).toContain("vault")
  })

  it("accounts, serve, shell and verify: no more than the server", async () => {
    const files = [...sources.keys()].filter(
      (path) => /^src\/cli\/(accounts|serve|shell|verify)/.test(path) && !isTestCode(path),
    )
    expect(files.length).toBeGreaterThanOrEqual(3)
    const reach = await reachOf(root, files, "node")
    expect(foldersOf(reach).filter((folder) => forbidden.includes(folder))).toEqual([])
    const planted = { "src/cli/serve.ts": 'import "../client/session.ts"' }
    expect(foldersOf(await reachOf(root, files, "node", planted))).toContain("vault")
  })

  it("the other commands: no server", async () => {
    const files = [...sources.keys()].filter(
      (path) => /^src\/cli\/(?!accounts|backup|serve|shell|verify|main|commands\.)/.test(path) && !isTestCode(path),
    )
    expect(files.length).toBeGreaterThan(8)
    const reach = await reachOf(root, files, "node")
    expect(foldersOf(reach)).not.toContain("server")
    expect(reach.packages).not.toContain("fastify")
    const planted = { "src/cli/out.ts": 'import "./shell-models.ts"; import "./serve.ts"' }
    expect(foldersOf(await reachOf(root, files, "node", planted))).toContain("server")
  })

  it("the page: no keys, nothing of the client but its types", async () => {
    const reach = await reachOf(root, "src/web/main.tsx", "browser")
    expect(foldersOf(reach).filter((folder) => !["web", "clinical", "encoding", "errors"].includes(folder))).toEqual([])
    expect(reach.builtIns).toEqual([])
    for (const name of ["@serenity-kit/opaque", "hpke", "@scure/bip39", "cborg"])
      expect(reach.packages).not.toContain(name)
    const planted = { "src/web/dates.ts": 'import "../client/pins.ts"' }
    expect(foldersOf(await reachOf(root, "src/web/main.tsx", "browser", planted))).toContain("vault")
  })

  it("the page's worker: the vault, and no server", async () => {
    const reach = await reachOf(root, "src/web/worker.ts", "browser")
    expect(foldersOf(reach)).toContain("vault")
    expect(foldersOf(reach)).not.toContain("server")
    expect(foldersOf(reach)).not.toContain("cli")
    expect(reach.files).not.toContain("src/vault/engine.node.ts")
    expect(reach.builtIns).toEqual([])
  })

  it.each(["node", "browser"] as const)(
    "healthcrypt/fernet on %s: itself, its engine, encoding and errors",
    async (platform) => {
      const reach = await reachOf(root, "src/vault/fernet.ts", platform)
      const own = ["src/errors.ts", `src/vault/engine.${platform}.ts`, "src/vault/fernet.ts"]
      expect(reach.files.filter((path) => !path.startsWith("src/encoding/"))).toEqual(own)
      expect(reach.packages).toEqual([])
      const planted = { "src/vault/fernet.ts": 'import "./keys.ts"' }
      expect((await reachOf(root, "src/vault/fernet.ts", platform, planted)).files).toContain("src/vault/keys.ts")
    },
  )
})

describe("the server's npm packages", () => {
  const folders = ["server", "encoding", "proof", "protocol", "errors"]

  it("are the ones that were looked at", () => {
    expect(packagesOf(sources, folders)).toEqual(serverPackages)
  })

  it("would grow by any that is planted, even for a type", () => {
    const more = new Map(sources).set("src/server/x.ts", 'import type {} from "left-pad/deep"\nimport "@a/b/c"')
    expect(packagesOf(more, folders)).toEqual([...serverPackages, "@a/b", "left-pad"].sort())
  })

  it("are all dependencies, not development's", async () => {
    const { dependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8"))
    expect(serverPackages.filter((name) => !Object.hasOwn(dependencies, name))).toEqual([])
  })
})

/** One file as it is, with more behind it. */
function planting(path: string, code: string): Sources {
  return new Map([[path, `${sources.get(path) ?? ""}\n${code}\n`]])
}

async function readSources(): Promise<Sources> {
  const names = await readdir(join(root, "src"), { recursive: true })
  const paths = names
    .filter((name) => /\.tsx?$/.test(name))
    .sort()
    .map((name) => `src/${name}`)
  return new Map(
    await Promise.all(paths.map(async (path) => [path, await readFile(join(root, path), "utf8")] as const)),
  )
}

async function readAliases(): Promise<Aliases> {
  const { imports } = JSON.parse(await readFile(join(root, "package.json"), "utf8"))
  const targets = Object.entries(imports as Record<string, Record<string, string>>)
  return new Map(targets.map(([name, by]) => [name, Object.values(by).map((path) => normalize(path))]))
}
