import { join, relative } from "node:path"
import { build, defaultClientConditions, type Plugin } from "vite"

/** What an entry reaches, by the bundler's own list: paths of this tree, names of npm packages, and built-in modules. */
export interface Reach {
  readonly files: readonly string[]
  readonly packages: readonly string[]
  readonly builtIns: readonly string[]
}

/** @param platform  decides between the files that package.json names for Node and for browsers.
 * @param planted    code to put behind that of a file, by path: what the tests plant. */
export async function reachOf(
  root: string,
  entry: string | readonly string[],
  platform: "node" | "browser",
  planted: Readonly<Record<string, string>> = {},
): Promise<Reach> {
  const ids = new Set<string>()
  const entries = typeof entry === "string" ? [entry] : entry
  const input = entries.map((path) => join(root, path))
  await build({
    root,
    configFile: false,
    logLevel: "silent",
    publicDir: false,
    plugins: [plant(root, planted), collect(ids)],
    define: { "process.env.NODE_ENV": '"production"' },
    resolve: { conditions: platform === "node" ? ["node", "module"] : ["browser", ...defaultClientConditions] },
    ...(platform === "node" ? { ssr: { noExternal: true, resolve: { conditions: ["node", "module"] } } } : {}),
    worker: { format: "es" },
    build: {
      write: false,
      minify: false,
      target: "esnext",
      reportCompressedSize: false,
      ...(platform === "node" ? { ssr: true } : {}),
      rolldownOptions: { input, treeshake: false },
    },
  })
  const paths = [...ids].map((id) => id.replace(/^\0/, "").replace(/\?.*$/, ""))
  const inside = paths.filter((path) => path.startsWith(`${root}/`)).map((path) => relative(root, path))
  const packages = inside.map((path) => /(?:^|.*\/)node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1])
  return {
    files: unique(inside.filter((path) => path.startsWith("src/"))),
    packages: unique(packages.filter((name) => name !== undefined)),
    builtIns: unique(paths.filter((path) => path.startsWith("node:") || path.startsWith("__vite-browser-external"))),
  }
}

/** The folders of `src/` that were reached. */
export function foldersOf(reach: Reach): string[] {
  return unique(reach.files.map((path) => path.split("/")[1]!.replace(/\.ts$/, "")))
}

function collect(ids: Set<string>): Plugin {
  return {
    name: "collect",
    buildEnd() {
      for (const id of this.getModuleIds()) ids.add(id)
    },
  }
}

function plant(root: string, planted: Readonly<Record<string, string>>): Plugin {
  return {
    name: "plant",
    enforce: "pre",
    transform(code, id) {
      const more = planted[relative(root, id)]
      return more === undefined ? null : { code: `${code}\n${more}\n`, map: null }
    },
  }
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)].sort()
}
