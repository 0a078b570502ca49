import { type ChildProcess, spawn } from "node:child_process"
import { randomInt } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export const bin = join(import.meta.dirname, "../bin/healthcrypt.js")

/** What a child process may know of this one: nothing of HEALTHCRYPT_…. Each compiles the same code: what one has compiled, others take. */
export const bareEnv = {
  PATH: process.env.PATH ?? "",
  HOME: process.env.HOME ?? "/",
  TZ: process.env.TZ ?? "UTC",
  NODE_COMPILE_CACHE: join(import.meta.dirname, "../node_modules/.cache/compiled"),
}

/** The real command, serving on a loopback port of its own choice. */
export interface LiveServer {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly dataDir: string
  /** Everything it has written to standard output and standard error so far. */
  log(): string
  /** Ends it as SIGTERM does. @returns its exit code */
  stop(): Promise<number | null>
  /** kill -9. Resolves when the process is gone. */
  kill(): Promise<void>
}

export interface ServeOptions {
  readonly dataDir: string
  /** 0, or left out, takes any free one: see {@link portThatStaysFree}. */
  readonly port?: number
  readonly args?: readonly string[]
}

/** Starts `healthcrypt serve` and waits until it is ready. @throws with what it said, when it ends before that */
export async function serve({ dataDir, port = 0, args = [] }: ServeOptions): Promise<LiveServer> {
  const own = port === 0 ? await portThatStaysFree() : port
  const child = spawn(process.execPath, [bin, "serve", "--data", dataDir, "--port", String(own), ...args], {
    env: bareEnv,
    stdio: ["ignore", "pipe", "pipe"],
  })
  const chunks: Buffer[] = []
  const log = () => Buffer.concat(chunks).toString("utf8")
  const gone = new Promise<number | null>((resolve) => child.once("close", resolve))
  const url = await new Promise<string>((resolve, reject) => {
    const take = (chunk: Buffer) => {
      chunks.push(chunk)
      const ready = /ready at (\S+)/.exec(log())
      if (ready) resolve(ready[1]!)
    }
    child.stdout.on("data", take)
    child.stderr.on("data", take)
    child.once("error", reject)
    gone.then((code) => reject(new Error(`serve ended with ${code}:\n${log()}`)))
  })
  const end = async (signal: NodeJS.Signals) => {
    if (isRunning(child)) child.kill(signal)
    return gone
  }
  return {
    url,
    port: Number(new URL(url).port),
    pid: child.pid!,
    dataDir,
    log,
    stop: () => end("SIGTERM"),
    kill: async () => {
      await end("SIGKILL")
    },
  }
}

/** A port below those that the system gives out by itself: between a stop and the next start nobody else is given it. */
async function portThatStaysFree(): Promise<number> {
  for (;;) {
    const port = randomInt(12_000, 32_000)
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer()
      probe.once("error", () => resolve(false))
      probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)))
    })
    if (free) return port
  }
}

/** A folder of this test's own. */
export function tempFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "healthcrypt-test-"))
}

export async function removeFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true })
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null
}
