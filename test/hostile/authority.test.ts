import { execFile } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { isIP } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { checkServerIdentity, connect, createServer } from "node:tls"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { makeAuthority, makeCertificate, type Pair } from "../../src/server/authority.ts"
import { boundlessAuthority, falseCertificates, otherPurposes } from "./false-certificates.ts"

const run = promisify(execFile)
const hasOpenssl = await run("openssl", ["version"]).then(
  () => true,
  () => false,
)
if (!hasOpenssl) console.warn("openssl is not installed: what it says to false certificates is not shown.")

const refusals = /permitted subtree violation|path length constraint exceeded/
const ours = ["practice.local", "localhost", "127.0.0.1", "::1", "192.0.2.17"]
let folder: string
let authority: Awaited<ReturnType<typeof makeAuthority>>
let boundless: Pair

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-"))
  authority = await makeAuthority(ours, Date.now())
  boundless = await boundlessAuthority()
})
afterAll(() => rm(folder, { recursive: true }))

/** What Node's client says to a server with this certificate; `null` where it is content. */
async function askNode(served: Pair, name: string, ca: string): Promise<string | null> {
  const server = createServer({ ...served, minVersion: "TLSv1.3" }, (socket) => socket.end())
  server.on("tlsClientError", () => {})
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { port: number }
  try {
    return await new Promise((resolve) => {
      const identity = isIP(name) === 0 ? { servername: name } : {}
      const socket = connect({
        port,
        host: "127.0.0.1",
        ca,
        ...identity,
        checkServerIdentity: (_host, cert) => checkServerIdentity(name, cert),
      })
      socket.on("secureConnect", () => resolve(null)).on("error", (error) => resolve(error.message))
      socket.on("close", () => socket.destroy())
    })
  } finally {
    server.close()
  }
}

/** What `openssl verify` says; `null` where it is content. */
async function askOpenssl(served: Pair, ca: string, args: readonly string[]): Promise<string | null> {
  const [root, chain] = [join(folder, "root.pem"), join(folder, "chain.pem")]
  await writeFile(root, ca)
  await writeFile(chain, served.cert)
  return run("openssl", ["verify", "-x509_strict", "-CAfile", root, "-untrusted", chain, ...args, chain]).then(
    () => null,
    (error: { stderr: string }) => error.stderr,
  )
}

function nameArgs(name: string): string[] {
  return ["-purpose", "sslserver", isIP(name) === 0 ? "-verify_hostname" : "-verify_ip", name]
}

describe("whoever trusts a server's own authority", () => {
  it.each(ours)("takes its certificate under %s", async (name) => {
    const served = await makeCertificate(authority, ours, Date.now())
    expect(await askNode(served, name, authority.root)).toBeNull()
    if (hasOpenssl) expect(await askOpenssl(served, authority.root, nameArgs(name))).toBeNull()
  })

  describe.each(falseCertificates)("and is shown $what, signed with the authority's key", ({ name, make }) => {
    it("refuses it in Node", async () => {
      expect(await askNode(await make(authority), name, authority.root)).toMatch(refusals)
      // The same certificate is believed under an authority without constraints.
      expect(await askNode(await make(boundless), name, boundless.cert)).toBeNull()
    })

    it.skipIf(!hasOpenssl)("refuses it in OpenSSL", async () => {
      const said = await askOpenssl(await make(authority), authority.root, nameArgs(name))
      expect(said).toMatch(refusals)
      expect(await askOpenssl(await make(boundless), boundless.cert, nameArgs(name))).toBeNull()
    })
  })

  it.skipIf(!hasOpenssl).each(otherPurposes)("refuses $what in OpenSSL", async ({ purpose, make }) => {
    expect(await askOpenssl(await make(authority), authority.root, ["-purpose", purpose])).toMatch(/error \d+ at/)
    expect(await askOpenssl(await make(boundless), boundless.cert, ["-purpose", purpose])).toBeNull()
  })

  it("has the root's key nowhere: the file with the authority's key holds one key, and it is not the root's", async () => {
    expect(authority.key.match(/PRIVATE KEY/g)).toHaveLength(2)
    const own = await makeCertificate({ ...authority, cert: authority.root }, ["localhost"], Date.now())
    expect(await askNode(own, "localhost", authority.root)).not.toBeNull()
  })
})
