import { createPrivateKey, X509Certificate } from "node:crypto"
import { readFile } from "node:fs/promises"
import { isIP } from "node:net"
import { createSecureContext } from "node:tls"
import { AppError } from "../errors.ts"
import { isLoopback, serverNames } from "./address.ts"
import type { Pair } from "./authority.ts"
import type { DataFolder } from "./data-folder.ts"
import { demandOneServers, ownCertificates } from "./own-certificates.ts"

/** How what is sent stays secret on its way: not at all beyond this machine, by TLS of ours, or by a proxy in front of us. */
export type Transit =
  | { readonly kind: "plain" }
  | { readonly kind: "proxy" }
  | { readonly kind: "auto"; readonly names: readonly string[] }
  | { readonly kind: "files"; readonly cert: string; readonly key: string }

/** Where a server's key and certificate come from. */
export interface Certificates {
  /** The pair to serve with now; replaced in time before it expires, or when the files changed.
   * @throws NOT_ALLOWED when a name was asked for that the authority may not certify; BAD_INPUT_FORMAT for a given pair that is none */
  current(now: number): Promise<Pair>
}

/** Looks at what can be looked at before anything is made.
 * @throws NOT_ALLOWED when the address can be reached from elsewhere and nothing protects what is sent there, or for a name that
 * no authority of ours may certify; BAD_INPUT_FORMAT for a given pair that is none */
export async function demandSafeTransit(host: string, transit: Transit, now: number): Promise<void> {
  if (transit.kind === "auto") demandOneServers(serverNames(host, transit.names).asked)
  if (transit.kind === "files") await givenCertificates(transit.cert, transit.key).current(now)
  if (transit.kind !== "plain" || (await isLoopback(host))) return
  throw new AppError(
    "NOT_ALLOWED",
    `Refusing to listen on ${host} without encryption: whoever is on the network could read passwords' exchanges and change ` +
      "the page. Say --tls auto (makes a local authority and a certificate, and says how to trust it), --tls-cert FILE " +
      "--tls-key FILE (a certificate of yours) or --behind-proxy (a proxy in front of Healthcrypt speaks TLS to the world), or " +
      "listen on this machine alone with --host 127.0.0.1.",
  )
}

/** @param notice takes what devices' owners have to know, such as a new authority
 * @returns `null` where this server does not speak TLS itself */
export function openCertificates(
  folder: DataFolder,
  host: string,
  transit: Transit,
  notice: (text: string) => void,
): Certificates | null {
  if (transit.kind === "auto") return ownCertificates(folder, () => serverNames(host, transit.names), notice)
  if (transit.kind === "files") return givenCertificates(transit.cert, transit.key)
  return null
}

/** A name that a certificate is for: the preferred one, or else its first host name that is no pattern. */
export function nameIn({ cert }: Pair, preferred: string): string {
  const certificate = new X509Certificate(cert)
  const covered = isIP(preferred) === 0 ? certificate.checkHost(preferred) : certificate.checkIP(preferred)
  if (covered !== undefined) return preferred
  return /DNS:([a-z0-9_.-]+)(?:,|$)/i.exec(certificate.subjectAltName ?? "")?.[1] ?? preferred
}

function givenCertificates(certFile: string, keyFile: string): Certificates {
  return {
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

async function readPem(path: string): Promise<string> {
  return readFile(path, "utf8").catch((cause) => {
    throw new AppError("BAD_INPUT_FORMAT", `${path} cannot be read. Check the path and its permissions.`, { cause })
  })
}
