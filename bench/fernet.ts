import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { startChild } from "./child.ts"
import type { AskFernet } from "./fernet-client.ts"
import { type Line, rounds } from "./lines.ts"
import type { Stage } from "./stage.ts"

const sizes = [300, 4096, 16_384, 1_048_576] as const
const sliceMs = 300

/** Round trips of one message after the other, of each size, by the three in turns. */
export async function fernetLines(stage: Stage, wanted: (name: string) => boolean): Promise<Line[]> {
  const state = await stage.peer()
  const node = startChild<AskFernet, number>(new URL("./fernet-client.ts", import.meta.url))
  const python = "python" in state ? startPython(state.python) : null
  const lines: Line[] = []
  for (const bytes of sizes.filter((size) => wanted(`fernet-${size}`))) {
    const measure = async (ms: number) => ({
      ours: await node.ask({ by: "ours", bytes, ms }),
      python: python === null ? 0 : await python.measure(bytes, ms),
      npm: await node.ask({ by: "npm", bytes, ms }),
    })
    // The first run only warms up.
    await measure(sliceMs)
    const runs = []
    for (let round = 0; round < rounds; round++) runs.push(await measure(sliceMs))
    const line = { unit: "round trips/s", better: "more", ours: runs.map((run) => run.ours) } as const
    const name = `fernet-${bytes}`
    const byPython = python === null ? null : runs.map((run) => run.python)
    lines.push({ ...line, name, peer: byPython, against: "Python" })
    lines.push({ ...line, name: `${name}-npm`, peer: runs.map((run) => run.npm), against: "npm" })
  }
  node.stop()
  python?.stop()
  return lines
}

function startPython(python: string) {
  const child = spawn(python, [fileURLToPath(new URL("./fernet.py", import.meta.url))], {
    stdio: ["pipe", "pipe", "inherit"],
  })
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    async measure(bytes: number, ms: number): Promise<number> {
      child.stdin.write(`${bytes} ${ms / 1000}\n`)
      const { value } = await answers.next()
      return Number(value)
    },
    stop: () => child.stdin.end(),
  }
}
