import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises"
import { homedir, tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import { type Browser, chromium, type LaunchOptions } from "playwright-core"

type LaunchPersistentContextOptions = NonNullable<Parameters<typeof chromium.launchPersistentContext>[1]>

const run = promisify(execFile)
const lockFolder = join(tmpdir(), "healthcrypt-install-chromium")
const installMs = 10 * 60_000

const known = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/google-chrome-stable",
  "/snap/bin/chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
]

/** The path of a Chromium: what `CHROMIUM` names, the system's, or Playwright's. Where there is none, root on Debian gets one
 * installed; anybody else gets an error that names the one command. Test files may call this at the same time. */
export async function findChromium(): Promise<string> {
  const named = process.env.CHROMIUM
  if (named) {
    if (existsSync(named)) return named
    throw new Error(`CHROMIUM names ${named}, where there is nothing. Correct it, or unset it.`)
  }
  return (await installed()) ?? (await install())
}

/** Starts a Chromium with a fresh profile. */
export async function launchChromium(options: LaunchOptions = {}): Promise<Browser> {
  return chromium.launch({ executablePath: await findChromium(), ...options, args: withOurs(options.args) })
}

/** Starts a Chromium on a profile folder of its own, which it keeps as a person's browser would. */
export async function launchProfile(folder: string, options: LaunchPersistentContextOptions = {}) {
  const executablePath = await findChromium()
  return chromium.launchPersistentContext(folder, { executablePath, ...options, args: withOurs(options.args) })
}

function withOurs(args: readonly string[] = []): string[] {
  return [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    ...args,
  ]
}

async function installed(): Promise<string | null> {
  return [...known, ...(await playwrightCache())].find((path) => existsSync(path)) ?? null
}

async function playwrightCache(): Promise<string[]> {
  const folder = process.env.PLAYWRIGHT_BROWSERS_PATH || join(homedir(), ".cache/ms-playwright")
  const names = await readdir(folder).catch(() => [])
  const cached = names.filter((name) => /^chromium-\d+$/.test(name)).map((name) => join(folder, name))
  const places = ["chrome-linux/chrome", "chrome-linux64/chrome", "chrome-mac/Chromium.app/Contents/MacOS/Chromium"]
  return [chromium.executablePath(), ...cached.flatMap((path) => places.map((place) => join(path, place)))]
}

async function install(): Promise<string> {
  const system = await readFile("/etc/os-release", "utf8").catch(() => "")
  const debian = /^ID=debian$/m.test(system)
  if (!debian || process.getuid?.() !== 0) {
    const command = debian ? "sudo apt-get install --yes chromium" : "npx playwright-core install --with-deps chromium"
    throw new Error(`The tests need Chromium. Install it with: ${command}`)
  }
  await lock()
  try {
    const already = await installed()
    if (already) return already
    console.error("Installing Chromium with apt-get …")
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
    await run("apt-get", ["update", "--quiet"], { env, maxBuffer: 64 * 2 ** 20 })
    await run("apt-get", ["install", "--quiet", "--yes", "chromium"], {
      env,
      maxBuffer: 64 * 2 ** 20,
    })
    const path = await installed()
    if (path) return path
    throw new Error("apt-get installed Chromium, but it is not where it should be. Set CHROMIUM to its path.")
  } finally {
    await rm(lockFolder, { recursive: true, force: true })
  }
}

/** Waits for whoever installs at the moment; a lock that is older than an installation may take is nobody's. */
async function lock(): Promise<void> {
  for (;;) {
    try {
      return await mkdir(lockFolder).then(() => {})
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
    }
    const held = await stat(lockFolder).catch(() => null)
    if (held && Date.now() - held.mtimeMs > installMs) await rm(lockFolder, { recursive: true, force: true })
    else await sleep(1000)
  }
}
