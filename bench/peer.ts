import { execFile, spawn } from "node:child_process"
import { closeSync, existsSync, openSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { PatientFields } from "../src/clinical/fields.ts"
import { freePort } from "./http.ts"
import { type RunningServer, serverOf } from "./our-server.ts"

const run = promisify(execFile)
const folder = fileURLToPath(new URL("./flask", import.meta.url))
const modules = "flask, flask_login, flask_wtf, flask_sqlalchemy, cryptography, gunicorn"
const packages = [
  "python3-flask",
  "python3-flask-login",
  "python3-flaskext.wtf",
  "python3-flask-sqlalchemy",
  "python3-cryptography",
  "gunicorn",
]

export const peerPassword = "correct horse battery staple"

/** A Python that has all that the peer needs, installed from Debian's packages where this may be done. @returns why not */
export async function findPython(): Promise<{ readonly python: string } | { readonly why: string }> {
  const found = await pythonWith(modules)
  if (found !== null) return { python: found }
  const system = await readFile("/etc/os-release", "utf8").catch(() => "")
  if (!/^ID=debian$/m.test(system) || process.getuid?.() !== 0)
    return { why: `it needs, on Debian: apt-get install ${packages.join(" ")}` }
  console.error("Installing the peer's packages with apt-get …")
  const options = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, maxBuffer: 64 * 2 ** 20 }
  try {
    await run("apt-get", ["update", "--quiet"], options)
    await run("apt-get", ["install", "--quiet", "--yes", ...packages], options)
  } catch (error) {
    return { why: `apt-get could not install it: ${error instanceof Error ? error.message.split("\n")[0] : error}` }
  }
  const now = await pythonWith(modules)
  return now === null ? { why: "its packages are installed and cannot be loaded" } : { python: now }
}

async function pythonWith(wanted: string): Promise<string | null> {
  for (const python of ["/usr/bin/python3", "python3"]) {
    if (python.startsWith("/") && !existsSync(python)) continue
    const works = await run(python, ["-c", `import ${wanted}`]).then(
      () => true,
      () => false,
    )
    if (works) return python
  }
  return null
}

/** Starts the peer as its own page says. @param data the folder of its database */
export async function startPeer(python: string, data: string): Promise<RunningServer> {
  const port = await freePort()
  const log = openSync(join(data, "peer.log"), "a")
  const gunicorn = ["-m", "gunicorn", "--preload", "-w", "2", "-b", `127.0.0.1:${port}`, "--chdir", folder, "app:app"]
  const from = performance.now()
  const child = spawn(python, gunicorn, { env: environment(data), stdio: ["ignore", log, log] })
  closeSync(log)
  return serverOf(child, `http://127.0.0.1:${port}`, "/login", from)
}

/** Makes a physician with records, through the peer's own models. */
export async function seedPeer(
  python: string,
  data: string,
  username: string,
  patients: readonly PatientFields[],
): Promise<void> {
  const seeding = run(python, ["seed.py"], { cwd: folder, env: environment(data) })
  seeding.child.stdin?.end(JSON.stringify({ username, password: peerPassword, patients }))
  const { records } = JSON.parse((await seeding).stdout)
  if (records !== patients.length) throw new Error(`the peer holds ${records} records`)
}

function environment(data: string): NodeJS.ProcessEnv {
  return { ...process.env, HEALTHCRYPT_DB: join(data, "peer.db"), PYTHONDONTWRITEBYTECODE: "1" }
}
