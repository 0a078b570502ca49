import { spawn } from "node:child_process"
import { join } from "node:path"
import type { CliCommand } from "../../src/cli/command.ts"
import { commands } from "../../src/cli/commands.ts"
import { password } from "../practice.ts"
import { bareEnv, bin } from "../server.ts"
import { evil, forged, type Scene } from "./hostile-scene.ts"

/** What is done with a command beside its plain run. */
export interface Case {
  readonly args?: (scene: Scene) => readonly string[]
  readonly input?: string | ((scene: Scene) => string)
  readonly env?: Readonly<Record<string, string>>
  /** It runs until it is told to end, which it is once this is printed. */
  readonly until?: RegExp
  /** Done once it watches. */
  readonly meanwhile?: (scene: Scene) => Promise<void>
  /** The hostile text has to be in its output, or nothing is shown. */
  readonly shows?: boolean
}

const evilJson = JSON.stringify({ firstName: evil, lastName: evil, birthDate: evil, diagnosis: evil })
const shell = (expression: string): Case => ({ args: ({ data }) => ["--data", data, "-e", expression], shows: true })

/** What a command takes beyond what its own table says of it; several runs of one where there are several ways. A command without a line
 * here is run with what {@link plainArgs} makes of its table. */
export const cases: Readonly<Record<string, readonly Case[]>> = {
  serve: [
    { args: ({ data }) => ["--port", "0", "--data", data], until: /ready/ },
    { args: () => ["--port", evil] },
    {
      args: ({ data }) => ["--port", "0", "--data", `${data}${evil.replaceAll("\0", "")}`, "--host", evil],
      until: /ready/,
    },
  ],
  register: [{ input: evilJson, env: { HEALTHCRYPT_USERNAME: "eve" } }, { env: { HEALTHCRYPT_USERNAME: evil } }],
  password: [{ env: { HEALTHCRYPT_NEW_PASSWORD: password } }],
  recover: [{ input: evil, env: { HEALTHCRYPT_NEW_PASSWORD: password } }],
  "records list": [{ shows: true }, { args: () => ["--json"], shows: true }],
  "records show": [{ shows: true }, { args: ({ id }) => [id, "--json"], shows: true }, { args: () => [evil] }],
  "records history": [{ shows: true }, { args: ({ id }) => [id, "--json"], shows: true }],
  "records add": [{ input: evilJson }],
  "records edit": [{ input: evilJson }, { args: ({ id }) => [id, "--seq", "0"], input: '{"diagnosis":"Gout"}' }],
  "records watch": [
    { until: /Mallory/, meanwhile: (scene) => scene.writeWatched(), shows: true },
    { args: () => ["--json"], until: /Mallory/, meanwhile: (scene) => scene.writeWatched(), shows: true },
  ],
  "physicians verify": [{ input: evil }],
  share: [
    { args: ({ id }) => [id, "bea", "--role", "reader"] },
    { args: ({ id }) => [id, evil, "--role", evil, "--until", evil] },
    { args: () => ["-", "bea", "--role", "reader"], input: evil },
  ],
  "shares list": [{ shows: true }, { args: () => ["--json"], shows: true }],
  members: [{ shows: true }, { args: ({ id }) => [id, "--json"], shows: true }],
  "accounts list": [{}, { args: ({ live }) => ["--data", live] }, { args: ({ live }) => ["--data", live, "--json"] }],
  "accounts invite": [{}, { args: ({ live }) => ["--data", live, "--json"] }],
  export: [{ args: ({ id }) => [id, "-o", "-"], shows: true }],
  token: [{ args: ({ id }) => [id, "--yes"] }],
  import: [{ args: ({ file }) => [file] }, { args: ({ file }) => [`${file}${evil.replaceAll("\0", "")}`] }],
  "log prove": [{ args: ({ id }) => [id] }, { args: ({ id }) => [id, "--json"] }, { args: () => ["--account"] }],
  "log checkpoint": [{}, { args: () => ["--json"] }, { args: () => ["--origin", evil, "--key", evil] }],
  "log monitor": [{ args: () => ["--once"] }, { args: () => ["--once", "--witness", evil] }],
  "log witness": [
    { args: () => ["--port", "0"], until: /ready/ },
    { args: () => ["--port", "0", "--name", "\u202e\u009bforged"], until: /ready/ },
  ],
  shell: [
    shell("await Physician.all()"),
    shell("(await Physician.all())[0].username"),
    shell("(await Physician.all()).map((row) => ({ ...row }))"),
    shell("(await Log.all())[0]"),
    shell("Promise.reject(new Error((await Physician.all())[0].username))"),
    shell("console.log((await Physician.all())[0].username)"),
    {
      args: ({ data }) => ["--data", data],
      input:
        "await Physician.all()\n(await Physician.all())[0].username\nthrow new Error((await Physician.all())[0].username)\n" +
        "console.log((await Physician.all())[0].username)\n",
      shows: true,
    },
    { args: ({ data }) => ["--data", data, "-e", `"${forged}\n(`] },
  ],
  verify: [{ args: ({ data }) => ["--data", data] }],
}

export const loaded: readonly CliCommand[] = (await Promise.all(Object.values(commands).map((load) => load()))).flat()
export const runs = loaded.flatMap((command) =>
  (cases[command.name] ?? [{}]).map((one, at) => [`${command.name} (${at + 1})`, command, one] as const),
)

/** A place for each argument, the data folder and JSON where a command has them. */
function plainArgs({ arguments: places = "", options }: CliCommand, { id, invited, data, file }: Scene): string[] {
  const values = { id, username: "bea", file }
  const given = Array.from(places.matchAll(/<(\w+)(?:\.\.\.)?>/g), ([, name]) =>
    name === "id" && places.includes("...")
      ? invited
      : (values[name as keyof typeof values] ?? evil.replaceAll("\0", "")),
  )
  const has = (flag: string) => options.some(({ flags }) => flags.startsWith(flag))
  return [...given, ...(has("--data") ? ["--data", data] : [])]
}

export function wordsOf(scene: Scene, command: CliCommand, one: Case): string[] {
  const args = one.args?.(scene) ?? plainArgs(command, scene)
  // No process is given an argument with a zero byte.
  return [...command.name.split(" "), ...args.map((word) => word.replaceAll("\0", ""))]
}

export function envOf({ door, practice }: Scene, one: Case): Record<string, string> {
  const env = {
    HEALTHCRYPT_SERVER: door.url,
    HEALTHCRYPT_USERNAME: "ada",
    HEALTHCRYPT_PASSWORD: password,
    HEALTHCRYPT_HOME: join(practice.folder, "devices/ada"),
    HEALTHCRYPT_BACKUP_PASSPHRASE: password,
    ...one.env,
  }
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value.replaceAll("\0", "")]))
}

/** Runs the real command in a pipe. @returns standard output and standard error */
export async function inPipe(
  scene: Scene,
  command: CliCommand,
  one: Case,
): Promise<{ stdout: string; stderr: string; code: number | null }> {
  let begun = false
  const child = spawn(process.execPath, [bin, ...wordsOf(scene, command, one)], {
    env: { ...bareEnv, ...envOf(scene, one) },
  })
  const output = { stdout: "", stderr: "" }
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text
      if (!begun && output.stderr.includes("Watching")) {
        begun = true
        one.meanwhile?.(scene)
      }
      if (one.until?.test(output.stdout + output.stderr)) setTimeout(() => child.kill("SIGTERM"), 500)
    })
  const late = setTimeout(() => child.kill("SIGTERM"), 60_000)
  const killed = setTimeout(() => child.kill("SIGKILL"), 90_000)
  child.stdin.on("error", () => {})
  child.stdin.end(typeof one.input === "function" ? one.input(scene) : (one.input ?? ""))
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve))
  clearTimeout(late)
  clearTimeout(killed)
  return { ...output, code }
}
