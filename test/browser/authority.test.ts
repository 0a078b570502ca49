import { execFile } from "node:child_process"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:https"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import type { Browser } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { makeAuthority, makeCertificate, type Pair } from "../../src/server/authority.ts"
import { launchChromium } from "../chromium.ts"
import { boundlessAuthority, falseCertificates } from "../hostile/false-certificates.ts"

const run = promisify(execFile)
/** Puts authorities into the list that Chromium trusts on Linux: Debian's package libnss3-tools. */
const hasCertutil = await run("certutil", ["--help"]).then(
  () => true,
  (error: NodeJS.ErrnoException) => error.code !== "ENOENT",
)
if (!hasCertutil)
  console.warn("certutil (libnss3-tools) is not installed: what Chromium says to authorities is not shown.")

const ours = ["practice.local", "localhost", "127.0.0.1", "[::1]", "192.0.2.17"]

describe.skipIf(!hasCertutil || process.platform !== "linux")("Chromium that trusts a server's own authority", () => {
  const folders: string[] = []
  const browsers: Browser[] = []
  let authority: Awaited<ReturnType<typeof makeAuthority>>
  let boundless: Pair
  let trusting: Browser
  let trustingBoundless: Browser

  beforeAll(async () => {
    authority = await makeAuthority(ours.map(bare), Date.now())
    boundless = await boundlessAuthority()
    trusting = await browserThatTrusts(authority.root)
    trustingBoundless = await browserThatTrusts(boundless.cert)
  })
  afterAll(async () => {
    for (const browser of browsers) await browser.close()
    for (const folder of folders) await rm(folder, { recursive: true, force: true })
  })

  function bare(host: string): string {
    return host.replace(/[[\]]/g, "")
  }

  async function browserThatTrusts(root: string): Promise<Browser> {
    const home = await mkdtemp(join(tmpdir(), "healthcrypt-"))
    folders.push(home)
    const database = join(home, ".pki/nssdb")
    await mkdir(database, { recursive: true })
    await writeFile(join(home, "ca.pem"), root)
    await run("certutil", ["-d", `sql:${database}`, "-N", "--empty-password"])
    await run("certutil", ["-d", `sql:${database}`, "-A", "-t", "C,,", "-n", "healthcrypt", "-i", join(home, "ca.pem")])
    const browser = await launchChromium({
      env: { ...process.env, HOME: home } as Record<string, string>,
      args: ["--host-resolver-rules=MAP * 127.0.0.1"],
    })
    browsers.push(browser)
    return browser
  }

  /** What Chromium says to a server with this certificate; `null` where it shows the page. */
  async function ask(browser: Browser, served: Pair, name: string): Promise<string | null> {
    const server = createServer({ ...served, minVersion: "TLSv1.3" }, (_request, response) => response.end("here"))
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as { port: number }
    const context = await browser.newContext()
    const page = await context.newPage()
    try {
      await page.goto(`https://${name.includes(":") && !name.startsWith("[") ? `[${name}]` : name}:${port}/`)
      expect(await page.textContent("body")).toBe("here")
      return null
    } catch (error) {
      return /net::\w+/.exec((error as Error).message)?.[0] ?? String(error)
    } finally {
      await context.close()
      server.closeAllConnections()
      server.close()
    }
  }

  it.each(ours)("shows the page under %s", async (host) => {
    const served = await makeCertificate(authority, ours.map(bare), Date.now())
    expect(await ask(trusting, served, host)).toBeNull()
  })

  it.each(falseCertificates)(
    "refuses $what, signed with the authority's key",
    async ({ name, make, isNoneInBrowsers }) => {
      expect(await ask(trusting, await make(authority), name)).toMatch(/^net::ERR_CERT_/)
      const elsewhere = await ask(trustingBoundless, await make(boundless), name)
      if (isNoneInBrowsers) expect(elsewhere).toMatch(/^net::ERR_CERT_/)
      else expect(elsewhere).toBeNull()
    },
  )
})
