import { X509Certificate } from "node:crypto"
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect, createServer, type TLSSocket } from "node:tls"
import { afterEach, beforeEach, expect, test } from "vitest"
import { makeAuthority, makeCertificate, type Pair } from "./authority.ts"
import { type DataFolder, dataFolder } from "./data-folder.ts"
import { demandSafeTransit, openCertificates, trustAdvice } from "./tls.ts"

const day = 86_400_000
const now = Date.now()
let folder: DataFolder
beforeEach(async () => {
  folder = dataFolder(await mkdtemp(join(tmpdir(), "healthcrypt-")))
  await mkdir(folder.secrets)
})
afterEach(() => rm(folder.path, { recursive: true }))

test("beyond loopback nothing is sent in plain, and the refusal names the ways out", async () => {
  await demandSafeTransit("127.0.0.1", { kind: "plain" })
  await demandSafeTransit("0.0.0.0", { kind: "proxy" })
  for (const host of ["0.0.0.0", "::", "192.0.2.7"])
    await expect(demandSafeTransit(host, { kind: "plain" })).rejects.toThrow(
      /Refusing to listen on .*--tls auto .*--tls-cert FILE --tls-key FILE .*--behind-proxy.*--host 127\.0\.0\.1/s,
    )
})

test("a client that trusts the authority connects with TLS 1.3, by name and by address; an older TLS is refused", async () => {
  const certificates = openCertificates(folder, "0.0.0.0", { kind: "auto" })!
  const pair = await certificates.current(now)
  const ca = await readFile(certificates.authorityFile!, "utf8")
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
  expect(await reach({ servername: "localhost" })).toBe("TLSv1.3")
  await expect(reach({ servername: "elsewhere.example" })).rejects.toThrow("altnames")
  await expect(reach({ ca: undefined })).rejects.toThrow("certificate")
  await expect(reach({ maxVersion: "TLSv1.2" })).rejects.toThrow("protocol version")
  server.close()
})

test("the certificate is kept, and replaced before it expires, for another host, or under another authority", async () => {
  const first = await openCertificates(folder, "127.0.0.1", { kind: "auto" })!.current(now)
  const certificates = openCertificates(folder, "127.0.0.1", { kind: "auto" })!
  expect(await certificates.current(now + 59 * day)).toEqual(first)
  const later = await certificates.current(now + 61 * day)
  expect(later.cert).not.toBe(first.cert)
  expect(isSignedBy(later, await readFile(certificates.authorityFile!, "utf8"))).toBe(true)
  const other = await openCertificates(folder, "clinic.example", { kind: "auto" })!.current(now + 61 * day)
  expect(new X509Certificate(other.cert).checkHost("clinic.example")).toBe("clinic.example")
  await rm(join(folder.secrets, "tls/authority.pem"))
  const renewed = await certificates.current(now + 61 * day)
  expect(isSignedBy(renewed, await readFile(certificates.authorityFile!, "utf8"))).toBe(true)
})

test("a file that was cut off is replaced", async () => {
  const certificates = openCertificates(folder, "127.0.0.1", { kind: "auto" })!
  const first = await certificates.current(now)
  await writeFile(join(folder.secrets, "tls/server.pem"), first.key)
  expect((await certificates.current(now)).cert).not.toBe(first.cert)
})

test("private keys are their owner's alone, and the advice names the file and its fingerprint", async () => {
  const certificates = openCertificates(folder, "127.0.0.1", { kind: "auto" })!
  await certificates.current(now)
  for (const name of ["authority.pem", "server.pem"])
    expect((await stat(join(folder.secrets, "tls", name))).mode & 0o777).toBe(0o600)
  const ca = await readFile(certificates.authorityFile!, "utf8")
  expect(ca).not.toContain("PRIVATE")
  const advice = await trustAdvice(certificates.authorityFile!)
  expect(advice).toContain(`HEALTHCRYPT_CA=${certificates.authorityFile}`)
  expect(advice).toContain(new X509Certificate(ca).fingerprint256)
})

test("a certificate of yours is read anew each time; another's key, an expired one and a missing file are refused", async () => {
  const authority = await makeAuthority(now)
  const cert = join(folder.path, "cert.pem")
  const key = join(folder.path, "key.pem")
  const put = async (pair: Pair): Promise<void> => {
    await writeFile(cert, pair.cert)
    await writeFile(key, pair.key)
  }
  const certificates = openCertificates(folder, "0.0.0.0", { kind: "files", cert, key })!
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
  await expect(certificates.current(now + 91 * day)).rejects.toThrow("has expired")
})

function isSignedBy(pair: Pair, authority: string): boolean {
  return new X509Certificate(pair.cert).verify(new X509Certificate(authority).publicKey)
}
