import { X509Certificate } from "node:crypto"
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises"
import { hostname, tmpdir } from "node:os"
import { join } from "node:path"
import { connect, createServer, type TLSSocket } from "node:tls"
import { afterEach, beforeEach, expect, test } from "vitest"
import { boundlessAuthority } from "../../test/hostile/false-certificates.ts"
import { makeAuthority, makeCertificate, type Pair } from "./authority.ts"
import { type DataFolder, dataFolder } from "./data-folder.ts"
import { permittedNames } from "./name-constraints.ts"
import { ownCertificates } from "./own-certificates.ts"
import { demandSafeTransit, nameIn, openCertificates } from "./tls.ts"

const day = 86_400_000
const now = Date.now()
let folder: DataFolder
beforeEach(async () => {
  folder = dataFolder(await mkdtemp(join(tmpdir(), "healthcrypt-")))
  await mkdir(folder.secrets)
})
afterEach(() => rm(folder.path, { recursive: true }))

test("beyond loopback nothing is sent in plain, and the refusal names the ways out", async () => {
  await demandSafeTransit("127.0.0.1", { kind: "plain" }, now)
  await demandSafeTransit("0.0.0.0", { kind: "proxy" }, now)
  for (const host of ["0.0.0.0", "::", "192.0.2.7"])
    await expect(demandSafeTransit(host, { kind: "plain" }, now)).rejects.toThrow(
      /Refusing to listen on .*--tls auto .*--tls-cert FILE --tls-key FILE .*--behind-proxy.*--host 127\.0\.0\.1/s,
    )
})

/** @returns what the server would serve with, what is said, and what devices have to trust */
async function auto(host: string, names: readonly string[] = [], at = now) {
  const said: string[] = []
  const certificates = openCertificates(folder, host, { kind: "auto", names }, (text) => said.push(text))!
  const pair = await certificates.current(at)
  return { certificates, pair, said, root: await readFile(join(folder.path, "ca.pem"), "utf8") }
}

const authorityFile = () => join(folder.secrets, "tls/authority.pem")

test("a client that trusts the authority connects with TLS 1.3, by name and by address; an older TLS is refused", async () => {
  const { pair, root: ca } = await auto("0.0.0.0", ["practice.local"])
  const server = createServer({ ...pair, minVersion: "TLSv1.3" }, (socket) => socket.end())
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { port: number }
  const reach = (options: object): Promise<string | null> =>
    new Promise((resolve, reject) => {
      const socket: TLSSocket = connect({ port, host: "127.0.0.1", ca, ...options }, () => {
        resolve(socket.getProtocol())
        socket.destroy()
      })
      socket.on("error", reject)
    })
  expect(await reach({})).toBe("TLSv1.3")
  for (const servername of ["localhost", "practice.local", `${hostname().toLowerCase()}.local`])
    expect(await reach({ servername })).toBe("TLSv1.3")
  await expect(reach({ servername: "elsewhere.example" })).rejects.toThrow("altnames")
  await expect(reach({ ca: undefined })).rejects.toThrow("certificate")
  await expect(reach({ maxVersion: "TLSv1.2" })).rejects.toThrow("protocol version")
  server.close()
})

test("the certificate is good for seven days, kept, and replaced in time under the same authority", async () => {
  const { certificates, pair: first, root } = await auto("127.0.0.1")
  expect(new X509Certificate(first.cert).validToDate.getTime() - now).toBeLessThanOrEqual(7 * day)
  expect(await certificates.current(now + 2 * day)).toEqual(first)
  const later = await certificates.current(now + 4 * day)
  expect(later.cert).not.toBe(first.cert)
  expect(isIssuedUnder(later, root)).toBe(true)
  expect((await auto("127.0.0.1", [], now + 4 * day)).pair).toEqual(later)
})

test("a name that the authority may not certify is refused, with what a new authority costs; then it is made", async () => {
  const { root, pair } = await auto("127.0.0.1", ["practice.local"])
  await auto("127.0.0.1", ["desk.practice.local"])
  const refused = auto("127.0.0.1", ["practice.local", "clinic.example"])
  await expect(refused).rejects.toThrow(
    /may not certify clinic\.example: .*every device has to trust again: remove .*authority\.pem/,
  )
  expect((await auto("127.0.0.1", ["practice.local"])).root).toBe(root)
  await rm(authorityFile())
  const after = await auto("127.0.0.1", ["practice.local", "clinic.example"])
  expect(after.root).not.toBe(root)
  expect(isIssuedUnder(after.pair, after.root)).toBe(true)
  expect(after.pair.cert).not.toBe(pair.cert)
  expect(new X509Certificate(after.pair.cert).checkHost("clinic.example")).toBe("clinic.example")
  expect(after.said[0]).toContain("Every device has to trust the new one")
  expect(after.said[0]).toContain(new X509Certificate(root).fingerprint256)
})

test("what the machine goes by of itself replaces no authority: the certificate is for what is permitted, and the rest is named", async () => {
  const names = { asked: ["practice.local"], own: ["localhost", "127.0.0.1", "10.0.0.7", "fd00::7", "desk.local"] }
  const said: string[] = []
  const certificates = ownCertificates(
    folder,
    () => names,
    (text) => said.push(text),
  )
  const first = await certificates.current(now)
  const root = await readFile(join(folder.path, "ca.pem"), "utf8")
  names.own = ["localhost", "127.0.0.1", "10.0.0.8", "fd00::8", "laptop.local"]
  const moved = new X509Certificate((await certificates.current(now + 1)).cert)
  expect(await readFile(join(folder.path, "ca.pem"), "utf8")).toBe(root)
  expect(moved.checkIP("10.0.0.8") ?? moved.checkHost("laptop.local")).toBeUndefined()
  expect(moved.checkHost("practice.local")).toBe("practice.local")
  expect(said).toHaveLength(2)
  expect(said[1]).toContain("Not certified: 10.0.0.8, laptop.local.")
  await certificates.current(now + 2)
  expect(said).toHaveLength(2)
  names.own = ["localhost", "127.0.0.1", "10.0.0.7", "fd00::7", "desk.local"]
  expect(new X509Certificate((await certificates.current(now + 3)).cert).checkIP("10.0.0.7")).toBe("10.0.0.7")
  expect(new X509Certificate(first.cert).checkIP("fd00::7")).toBe("fd00::7")
})

test("a name that may be a top-level domain is none of this server's: not as its host, not as the machine's name", async () => {
  await expect(auto("clinic")).rejects.toThrow(
    /cannot be for clinic: .*every website whose name ends in \.clinic\. .*clinic\.local/,
  )
  await expect(auto("127.0.0.1", ["xn--p1ai"])).rejects.toThrow("cannot be for xn--p1ai")
  const names = { asked: [], own: ["localhost", "clinic", "clinic.local", "desk-4"] }
  const pair = await ownCertificates(
    folder,
    () => names,
    () => {},
  ).current(now)
  const cert = new X509Certificate(pair.cert)
  expect(["localhost", "clinic", "bank.clinic", "clinic.local", "desk-4"].map((name) => cert.checkHost(name))).toEqual([
    "localhost",
    undefined,
    undefined,
    "clinic.local",
    "desk-4",
  ])
  const permitted = permittedNames(await issuing())
  expect(permitted).toEqual(["localhost", "clinic.local", "desk-4", "127.0.0.1"])
})

test("an authority of 0.2, which could certify any website, is replaced; why, and which to remove, is said", async () => {
  const old = await boundlessAuthority()
  await mkdir(join(folder.secrets, "tls"))
  await writeFile(authorityFile(), old.key + old.cert)
  await writeFile(join(folder.path, "ca.pem"), old.cert)
  const { root, said, pair } = await auto("127.0.0.1", ["practice.local"])
  expect(root).not.toBe(old.cert)
  expect(isIssuedUnder(pair, root)).toBe(true)
  expect(await readFile(authorityFile(), "utf8")).not.toContain(old.key.trim())
  expect(said[0]).toContain("could certify any website")
  expect(said[0]).toContain(`Remove the old one from every device that trusts it: "Healthcrypt authority of practice"`)
  expect(said[0]).toContain(new X509Certificate(old.cert).fingerprint256)
  expect((await auto("127.0.0.1", ["practice.local"])).said[0]).not.toContain("Remove the old one")
})

test("an authority that is damaged or at its end is replaced, and that is said; at the first start there is none to speak of", async () => {
  const first = await auto("127.0.0.1")
  expect(first.said).toHaveLength(1)
  const late = await auto("127.0.0.1", [], now + 3648 * day)
  expect(late.said[0]).toContain("has come to its end")
  expect(isIssuedUnder(late.pair, late.root)).toBe(true)
  const whole = await readFile(authorityFile(), "utf8")
  for (const damaged of [whole.slice(0, -200), whole.replace(/-----BEGIN CERTIFICATE[\s\S]*$/, ""), "", "x"]) {
    await writeFile(authorityFile(), damaged)
    const { said, pair, root } = await auto("127.0.0.1", [], now + 3648 * day)
    expect(said[0]).toContain("not in the secrets folder any more, or is damaged")
    expect(isIssuedUnder(pair, root)).toBe(true)
  }
})

test("a certificate that was cut off is replaced", async () => {
  const { certificates, pair } = await auto("127.0.0.1")
  await writeFile(join(folder.secrets, "tls/server.pem"), pair.key)
  expect((await certificates.current(now)).cert).not.toBe(pair.cert)
})

test("private keys are their owner's alone, and the advice names the file, its fingerprint and what the certificate is for", async () => {
  const { said, root } = await auto("127.0.0.1", ["practice.local"])
  for (const name of ["authority.pem", "server.pem"])
    expect((await stat(join(folder.secrets, "tls", name))).mode & 0o777).toBe(0o600)
  expect(root).not.toContain("PRIVATE")
  expect(said).toHaveLength(1)
  expect(said[0]).toContain(`HEALTHCRYPT_CA=${join(folder.path, "ca.pem")}`)
  expect(said[0]).toContain(new X509Certificate(root).fingerprint256)
  expect(said[0]).toContain("It is for 127.0.0.1, practice.local, localhost")
  for (const where of ["iOS", "Certificate Trust", "Android"]) expect(said[0]).toContain(where)
})

test("the address that is shown is one that the certificate is for", async () => {
  const { pair } = await auto("0.0.0.0", ["practice.local"])
  expect(nameIn(pair, "127.0.0.1")).toBe("127.0.0.1")
  expect(nameIn(pair, "203.0.113.4")).toBe("practice.local")
})

test("a certificate of yours is read anew each time; another's key, an expired one and a missing file are refused", async () => {
  const authority = await makeAuthority(["localhost"], now)
  const cert = join(folder.path, "cert.pem")
  const key = join(folder.path, "key.pem")
  const put = async (pair: Pair): Promise<void> => {
    await writeFile(cert, pair.cert)
    await writeFile(key, pair.key)
  }
  const certificates = openCertificates(folder, "0.0.0.0", { kind: "files", cert, key }, () => {})!
  await expect(certificates.current(now)).rejects.toThrow(`${cert} cannot be read`)
  const one = await makeCertificate(authority, ["localhost"], now)
  const two = await makeCertificate(authority, ["localhost"], now)
  await put(one)
  expect(await certificates.current(now)).toEqual(one)
  await put(two)
  expect(await certificates.current(now)).toEqual(two)
  await put({ cert: one.cert, key: two.key })
  await expect(certificates.current(now)).rejects.toThrow("its own unencrypted key")
  await put(one)
  await expect(certificates.current(now + 8 * day)).rejects.toThrow("has expired")
})

async function issuing(): Promise<string> {
  const pem = await readFile(authorityFile(), "utf8")
  return pem.slice(pem.indexOf("-----BEGIN CERTIFICATE"))
}

/** Whether a certificate's chain leads to what devices trust. */
function isIssuedUnder(pair: Pair, root: string): boolean {
  const [leaf, authority] = pair.cert
    .match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----/g)!
    .map((pem) => new X509Certificate(pem))
  return leaf!.verify(authority!.publicKey) && authority!.verify(new X509Certificate(root).publicKey)
}
