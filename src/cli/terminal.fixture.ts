import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

const bin = join(import.meta.dirname, "../../bin/healthcrypt.js")
const startMs = 20_000

/** What a finished command left on the terminal. */
export interface Transcript {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Settings {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
  /** Another Node than the one that runs the tests. */
  readonly node?: string
  readonly killAfterMs?: number
}

/** Runs the real command to its end. */
export async function run(args: readonly string[], settings: Settings = {}): Promise<Transcript> {
  const { child, output } = launch(args, settings)
  child.stdin?.end(settings.input ?? "")
  const [code] = (await once(child, "close")) as [number | null]
  return { code, ...output }
}

/** A server that runs as whoever starts it by hand has it. */
export interface Server {
  readonly url: string
  readonly pid: number
  readonly output: Readonly<{ stdout: string; stderr: string }>
  /** @returns the exit code, `null` after a kill */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

/** Starts `serve` on a free port and waits for its URL. @throws with its standard error where it ends before */
export async function serveForTest(args: readonly string[], settings: Settings = {}): Promise<Server> {
  const { child, output } = launch(["serve", "--port", "0", ...args], settings)
  const closed = once(child, "close")
  const url = await new Promise<string>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`not ready: ${output.stderr}`)), startMs)
    child.stdout?.on("data", () => {
      const found = /^Healthcrypt is ready at (https?:\/\/\S+)\n$/.exec(output.stdout)
      if (found) resolve(found[1]!)
    })
    child.on("close", () => reject(new Error(output.stderr)))
    child.on("close", () => clearTimeout(late))
  })
  return {
    url,
    pid: child.pid!,
    output,
    async stop(signal = "SIGTERM") {
      child.kill(signal)
      const [code] = (await closed) as [number | null]
      return code
    },
  }
}

/** A folder for one test file. */
export async function temporaryFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "healthcrypt-"))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

function launch(args: readonly string[], { env, node, killAfterMs }: Settings) {
  const output = { stdout: "", stderr: "" }
  const child: ChildProcess = spawn(node ?? process.execPath, [bin, ...args], { env: { ...process.env, ...env } })
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      output[name] += text
    })
  }
  if (killAfterMs !== undefined) setTimeout(() => child.kill("SIGKILL"), killAfterMs)
  return { child, output }
}
