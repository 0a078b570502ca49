import { writeFile } from "node:fs/promises"
import { fernetLines } from "./fernet.ts"
import { firstLoad } from "./first-load.ts"
import { homeInChromium, homeInNode } from "./home.ts"
import { cells, header, type Line, table, toJson } from "./lines.ts"
import { logLines } from "./log.ts"
import { machine } from "./machine.ts"
import { saves } from "./saves.ts"
import { memoryLine, startLine } from "./server.ts"
import { shareLines } from "./share.ts"
import { openStage, type Stage } from "./stage.ts"

type Wanted = (name: string) => boolean

/** Some lines that are measured together. */
interface Group {
  readonly names: readonly string[]
  run(stage: Stage, wanted: Wanted): Promise<Line[]>
}

/** In this order: memory is read when the records have just been written, and starting again comes last. */
const groups: readonly Group[] = [
  { names: ["memory"], run: (stage) => memoryLine(stage, 10_000) },
  { names: ["home-1000-chromium"], run: (stage) => homeInChromium(stage, 1000) },
  { names: ["home-10000-chromium"], run: (stage) => homeInChromium(stage, 10_000) },
  { names: ["home-10000-node", "search-10000"], run: (stage) => homeInNode(stage, 10_000) },
  { names: ["first-load"], run: firstLoad },
  {
    names: ["saves-1", "saves-16"],
    run: (stage, wanted) =>
      saves(
        stage,
        [1, 16].filter((clients) => wanted(`saves-${clients}`)),
      ),
  },
  { names: ["share-1000", "accept-1000"], run: shareLines },
  { names: ["log-100000"], run: logLines },
  { names: ["start"], run: (stage) => startLine(stage, 10_000) },
  { names: ["fernet-300", "fernet-4096", "fernet-16384", "fernet-1048576"], run: fernetLines },
]

const usage = "npm run bench -- [--json FILE] [--only NAME…]      a NAME may be the beginning of one"

async function main(args: readonly string[]): Promise<number> {
  const options = parse(args)
  if (options === null) {
    console.error(usage)
    return 2
  }
  const { json, only } = options
  const wanted: Wanted = (name) => only.length === 0 || only.some((part) => name.startsWith(part))
  const known = groups.flatMap((group) => group.names)
  const unknown = only.find((part) => !known.some((name) => name.startsWith(part)))
  if (unknown !== undefined) {
    console.error(`There is no line ${unknown}. The lines: ${known.join(", ")}\n${usage}`)
    return 2
  }
  const from = performance.now()
  const stage = await openStage((text) => console.error(text))
  const lines: Line[] = []
  let about: string
  try {
    for (const group of groups) {
      if (!group.names.some(wanted)) continue
      const measured = await group.run(stage, wanted)
      for (const line of measured) console.error(cells(line).join("  "))
      lines.push(...measured)
    }
    about = await machine(await stage.peer())
  } finally {
    await stage.close()
  }
  const minutes = ((performance.now() - from) / 60_000).toFixed(1)
  console.log(table([header, ...lines.map(cells)]))
  console.log(
    `\nMedians of 5 (minimum–maximum). A ratio above 1 means that we are ahead.\n${about}\n${minutes} minutes`,
  )
  if (json !== null) await writeFile(json, `${JSON.stringify(lines.map(toJson), null, 2)}\n`)
  return 0
}

function parse(args: readonly string[]): { readonly json: string | null; readonly only: readonly string[] } | null {
  let json: string | null = null
  const only: string[] = []
  for (let i = 0; i < args.length; ) {
    const option = args[i++]
    if (option === "--json" && args[i] !== undefined) json = args[i++]!
    else if (option === "--only") while (args[i] !== undefined && !args[i]!.startsWith("--")) only.push(args[i++]!)
    else return null
  }
  return { json, only }
}

process.exitCode = await main(process.argv.slice(2))
