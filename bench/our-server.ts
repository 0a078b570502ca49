import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { stopProcess } from "./child.ts"
import { answered, freePort } from "./http.ts"

export interface RunningServer {
  readonly url: string
  readonly pid: number
  /** From the start of the process to its first answer. */
  readonly startMs: number
  stop(): Promise<void>
}

const command = fileURLToPath(new URL("../bin/healthcrypt.js", import.meta.url))

/** Starts `healthcrypt serve` as anybody would, with its log in a file. */
export async function startOurs(folder: string): Promise<RunningServer> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const log = openSync(join(folder, "serve.log"), "a")
  const from = performance.now()
  // A proxy that counts asks for it by a port of its own.
  const args = ["serve", "--port", String(port), "--data", join(folder, "data"), "--host-name", "127.0.0.1"]
  const child = spawn(process.execPath, [command, ...args], {
    stdio: ["ignore", log, log],
  })
  closeSync(log)
  return serverOf(child, url, "/api/practice", from)
}

/** Waits for a server's first answer. @param from when its process was started */
export async function serverOf(child: ChildProcess, url: string, path: string, from: number): Promise<RunningServer> {
  await answered(url + path, child)
  const startMs = performance.now() - from
  return { url, pid: child.pid ?? 0, startMs, stop: () => stopProcess(child) }
}
