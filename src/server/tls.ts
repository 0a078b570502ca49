import { createPrivateKey, X509Certificate } from "node:crypto"
import { mkdir, readFile } from "node:fs/promises"
import { isIP } from "node:net"
import { join } from "node:path"
import { createSecureContext } from "node:tls"
import { AppError } from "../errors.ts"
import { certificateNames, isLoopback } from "./address.ts"
import { makeAuthority, makeCertificate, type Pair, renewMs } from "./authority.ts"
import { type DataFolder, writeDurably } from "./data-folder.ts"

/** How what is sent stays secret on its way: not at all beyond this machine, by TLS of ours, or by a proxy in front of us. */
export type Transit =
  | { readonly kind: "plain" }
  | { readonly kind: "proxy" }
  | { readonly kind: "auto" }
  | { readonly kind: "files"; readonly cert: string; readonly key: string }

/** Where a server's key and certificate come from. */
export interface Certificates {
  /** The authority that a client has to trust, where it is one of our own making. */
  readonly authorityFile: string | null
  /** The pair to serve with now; replaced in time before it expires, or when the files changed. */
  current(now: number): Promise<Pair>
}

/** @throws NOT_ALLOWED when the address can be reached from elsewhere and nothing protects what is sent there */
export async function demandSafeTransit(host: string, transit: Transit): Promise<void> {
  if (transit.kind !== "plain" || (await isLoopback(host))) return
  throw new AppError(
    "NOT_ALLOWED",
    `Refusing to listen on ${host} without encryption: whoever is on the network could read passwords' exchanges and change ` +
      "the page. Use one of:\n" +
      "  --tls auto                        makes a local authority and a certificate, and says how to trust it\n" +
      "  --tls-cert FILE --tls-key FILE    uses a certificate of yours\n" +
      "  --behind-proxy                    when a proxy in front of Healthcrypt speaks TLS to the world\n" +
      "or listen on this machine alone with --host 127.0.0.1.",
  )
}

/** @returns `null` where this server does not speak TLS itself */
export function openCertificates(folder: DataFolder, host: string, transit: Transit): Certificates | null {
  if (transit.kind === "auto") return ownCertificates(folder, host)
  if (transit.kind === "files") return givenCertificates(transit.cert, transit.key)
  return null
}

/** What to tell whoever starts a server with a certificate of its own making. */
export async function trustAdvice(file: string): Promise<string> {
  const authority = new X509Certificate(await readFile(file))
  return `This server's certificate comes from an authority that it made for itself. Every device has to trust it once:
  file          ${file} (no secret; bring it over by a way that you trust)
  SHA-256       ${authority.fingerprint256}
  command line  HEALTHCRYPT_CA=${file}
  Debian        cp ${file} /usr/local/share/ca-certificates/healthcrypt.crt && update-ca-certificates
  macOS         security add-trusted-cert -d -k /Library/Keychains/System.keychain ${file}
  Windows       certutil -addstore -f Root ca.pem
  Chrome        Settings, Privacy and security, Security, Manage certificates, Import
  Firefox       Settings, Privacy & Security, View Certificates, Authorities, Import`
}

function ownCertificates(folder: DataFolder, host: string): Certificates {
  const authorityFile = join(folder.path, "ca.pem")
  const secrets = join(folder.secrets, "tls")
  return {
    authorityFile,
    async current(now) {
      await mkdir(secrets, { recursive: true, mode: 0o700 })
      const authority = await keep(join(secrets, "authority.pem"), isFresh(now), () => makeAuthority(now))
      const shown = await readFile(authorityFile, "utf8").catch(() => "")
      if (shown !== authority.cert) await writeDurably(authorityFile, authority.cert)
      const names = certificateNames(host)
      const isGood = (pair: Pair): boolean => isFresh(now)(pair) && isFor(names, pair) && isIssuedBy(authority, pair)
      return keep(join(secrets, "server.pem"), isGood, () => makeCertificate(authority, names, now))
    },
  }
}

function givenCertificates(certFile: string, keyFile: string): Certificates {
  return {
    authorityFile: null,
    async current(now) {
      const pair = { cert: await readPem(certFile), key: await readPem(keyFile) }
      try {
        createSecureContext({ ...pair, minVersion: "TLSv1.3" })
        if (!new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key))) throw new Error("another key")
      } catch (cause) {
        const advice = `${certFile} and ${keyFile} are not a certificate (PEM, the whole chain) and its own unencrypted key.`
        throw new AppError("BAD_INPUT_FORMAT", advice, { cause })
      }
      if (new X509Certificate(pair.cert).validToDate.getTime() <= now)
        throw new AppError("BAD_INPUT_FORMAT", `The certificate in ${certFile} has expired. Renew it.`)
      return pair
    },
  }
}

/** The pair that lies in a file, or a fresh one where there is none that is good. */
async function keep(path: string, isGood: (pair: Pair) => boolean, make: () => Promise<Pair>): Promise<Pair> {
  const kept = parsePair(await readFile(path, "utf8").catch(() => ""))
  if (kept !== null && isGood(kept)) return kept
  const made = await make()
  await writeDurably(path, made.key + made.cert)
  return made
}

function parsePair(pem: string): Pair | null {
  const cut = pem.indexOf("-----BEGIN CERTIFICATE-----")
  if (cut <= 0) return null
  const pair = { key: pem.slice(0, cut), cert: pem.slice(cut) }
  try {
    return new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key)) ? pair : null
  } catch {
    return null
  }
}

function isFresh(now: number): (pair: Pair) => boolean {
  return (pair) => {
    const { validFromDate, validToDate } = new X509Certificate(pair.cert)
    return validFromDate.getTime() <= now && validToDate.getTime() - now > renewMs
  }
}

function isFor(names: readonly string[], pair: Pair): boolean {
  const cert = new X509Certificate(pair.cert)
  return names.every((name) => (isIP(name) === 0 ? cert.checkHost(name) : cert.checkIP(name)) !== undefined)
}

function isIssuedBy(authority: Pair, pair: Pair): boolean {
  const issuer = new X509Certificate(authority.cert)
  const cert = new X509Certificate(pair.cert)
  return cert.checkIssued(issuer) && cert.verify(issuer.publicKey)
}

async function readPem(path: string): Promise<string> {
  return readFile(path, "utf8").catch((cause) => {
    throw new AppError("BAD_INPUT_FORMAT", `${path} cannot be read. Check the path and its permissions.`, { cause })
  })
}
