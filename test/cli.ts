import { spawn } from "node:child_process"
import { join } from "node:path"
import { bareEnv, bin } from "./server.ts"

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly ms: number
}

export interface RunOptions {
  /** Standard input: text, or a value that becomes JSON. Closed at once where left out. */
  readonly input?: unknown
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Told of the process as soon as it runs. */
  readonly started?: (pid: number) => void
}

/** Nothing that a test starts outlives it for long. */
const longestMs = 240_000

/** Runs the real command in a pipe, as a script would. */
export function runCli(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const began = Date.now()
  const { input, env = {}, cwd, started } = options
  const child = spawn(process.execPath, [bin, ...args], {
    env: { ...bareEnv, ...env },
    ...(cwd && { cwd }),
    timeout: longestMs,
    killSignal: "SIGKILL",
  })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk))
  child.stdin.on("error", () => {})
  child.stdin.end(input === undefined ? "" : typeof input === "string" ? input : JSON.stringify(input))
  if (child.pid !== undefined) started?.(child.pid)
  return new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code) =>
      resolve({
        code,
        stdout: Buffer.concat(stdout).toString("utf8"),
        stderr: Buffer.concat(stderr).toString("utf8"),
        ms: Date.now() - began,
      }),
    )
  })
}

export interface Patient {
  readonly firstName: string
  readonly lastName: string
  readonly birthDate: string
  readonly diagnosis: string
}

/** One row of `records list --json`. */
export interface ListedRow {
  readonly id: string
  readonly firstName: string
  readonly lastName: string
  readonly birthDate: string
  readonly diagnoses: readonly string[]
  readonly updated: string
}

interface Where {
  readonly server: string
  readonly username: string
  readonly password: string
  /** HEALTHCRYPT_HOME: one machine. */
  readonly home: string
  readonly ca?: string
}

/** A physician at a machine's command line. */
export class Desk {
  readonly where: Where

  constructor(where: Where) {
    this.where = where
  }

  /** The same physician, with something else about it. */
  with(changes: Partial<Where>): Desk {
    return new Desk({ ...this.where, ...changes })
  }

  get env(): Readonly<Record<string, string>> {
    const { server, username, password, home, ca } = this.where
    return {
      HEALTHCRYPT_SERVER: server,
      HEALTHCRYPT_USERNAME: username,
      HEALTHCRYPT_PASSWORD: password,
      HEALTHCRYPT_HOME: home,
      ...(ca && { HEALTHCRYPT_CA: ca }),
    }
  }

  run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return runCli(args, { ...options, env: { ...this.env, ...options.env } })
  }

  /** Runs what has to succeed. @returns standard output */
  async must(args: readonly string[], input?: unknown): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, { input })
    if (code !== 0) throw new Error(`healthcrypt ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`)
    return stdout
  }

  /** @returns the 24 recovery words */
  async register(firstName: string, lastName: string): Promise<string[]> {
    return (await this.must(["register"], { firstName, lastName })).trimEnd().split("\n")
  }

  /** @returns the new record's id */
  async add(patient: Patient): Promise<string> {
    return (await this.must(["records", "add"], patient)).trimEnd()
  }

  async list(): Promise<ListedRow[]> {
    return JSON.parse(await this.must(["records", "list", "--json"]))
  }

  async show(id: string, ...args: string[]): Promise<ShownRecord> {
    return JSON.parse(await this.must(["records", "show", id, "--json", ...args]))
  }
}

export interface ShownRecord {
  readonly id: string
  readonly seq: number
  readonly head: number
  readonly firstName: string
  readonly lastName: string
  readonly birthDate: string
  readonly diagnosis: string
  readonly diagnoses: readonly string[]
  readonly archived: boolean
}

/** Names that nobody else in a practice has. @param folder of the test */
export function desk(server: string, folder: string, username: string, password = "correct horse battery"): Desk {
  return new Desk({ server, username, password, home: join(folder, `home-${username}`) })
}
