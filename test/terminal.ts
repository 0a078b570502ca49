import { spawn, spawnSync } from "node:child_process"
import { stripVTControlCharacters } from "node:util"
import { bareEnv, bin } from "./server.ts"

const script = "/usr/bin/script"

/** Whether util-linux's `script` is there, which gives a program a terminal. */
export const hasTerminal = spawnSync(script, ["--version"]).stdout?.toString().includes("util-linux") ?? false

/** The real command before a person at a terminal. */
export interface Terminal {
  /** Waits until something new stands on the screen. @throws with the whole screen when the command ends before that */
  reads(text: string): Promise<void>
  /** Waits until a question is put. @returns what stands behind `text` in its line */
  asks(text: string): Promise<string>
  types(keys: string): void
  /** Everything that was shown, without colours. */
  screen(): string
  /** Every byte of it. */
  raw(): string
  readonly ended: Promise<number | null>
}

/** @param stdout a file for standard output; the terminal where left out */
export function openTerminal(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  stdout?: string,
  columns = 200,
): Terminal {
  const quoted = [process.execPath, bin, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ")
  const command = `stty columns ${columns} rows 50; ${quoted}${stdout === undefined ? "" : ` > '${stdout}'`}`
  const child = spawn(script, ["--quiet", "--return", "--flush", "--command", command, "/dev/null"], {
    env: { ...bareEnv, TERM: "xterm", SHELL: "/bin/sh", ...env },
    timeout: 240_000,
    killSignal: "SIGKILL",
  })
  let shown = ""
  let read = 0
  let changed = () => {}
  const take = (chunk: Buffer) => {
    shown += chunk.toString("utf8")
    changed()
  }
  child.stdout.on("data", take)
  child.stderr.on("data", take)
  child.stdin.on("error", () => {})
  let over = false
  const ended = new Promise<number | null>((resolve) =>
    child.once("close", (code) => {
      over = true
      changed()
      resolve(code)
    }),
  )
  const screen = () => stripVTControlCharacters(shown)
  const reads = async (pattern: RegExp): Promise<string> => {
    for (;;) {
      const match = pattern.exec(screen().slice(read))
      if (match !== null) {
        read += match.index + match[0].length
        return match[1] ?? ""
      }
      if (over) throw new Error(`never read ${pattern}:\n${screen()}`)
      await new Promise<void>((resolve) => {
        changed = resolve
      })
    }
  }
  return {
    async reads(text) {
      await reads(new RegExp(RegExp.escape(text)))
    },
    asks: (text) => reads(new RegExp(`◆ +${RegExp.escape(text)}(.*)\\r?\\n`)),
    types: (keys) => {
      child.stdin.write(keys)
    },
    screen,
    raw: () => shown,
    ended,
  }
}
