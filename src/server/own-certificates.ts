import { createPrivateKey, X509Certificate } from "node:crypto"
import { mkdir, readFile } from "node:fs/promises"
import { isIP } from "node:net"
import { join } from "node:path"
import { AppError } from "../errors.ts"
import type { ServerNames } from "./address.ts"
import { type Authority, makeAuthority, makeCertificate, type Pair, renewMs } from "./authority.ts"
import { type DataFolder, writeDurably } from "./data-folder.ts"
import { isOneServers, isPermitted, permittedNames } from "./name-constraints.ts"
import type { Certificates } from "./tls.ts"
import { newAuthorityAdvice, trustAdvice, unpermittedAdvice } from "./trust-advice.ts"

/** Certificates of a data folder's own authority. It stays the same for as long as it may certify what the operator asked for.
 *
 * What the machine goes by changes by itself (an address in another network): the authority is not replaced for it, since every
 * device would have to trust anew. The certificate is for as much of it as the authority permits, and `notice` says what is missing.
 * @param names asked for at every renewal */
export function ownCertificates(
  folder: DataFolder,
  names: () => ServerNames,
  notice: (text: string) => void,
): Certificates {
  const rootFile = join(folder.path, "ca.pem")
  const secrets = join(folder.secrets, "tls")
  const authorityFile = join(secrets, "authority.pem")
  const certificateFile = join(secrets, "server.pem")
  let told: string | null = null

  async function currentAuthority({ asked, own }: ServerNames, now: number): Promise<Authority> {
    const kept = await readFile(authorityFile, "utf8").catch(() => "")
    const authority = parseAuthority(kept)
    const shown = await readFile(rootFile, "utf8").catch(() => "")
    if (authority !== null && isFresh(authority.cert, now)) {
      if (shown !== authority.root) await writeDurably(rootFile, authority.root)
      return authority
    }
    const made = await makeAuthority([...asked, ...own.filter(isOneServers)], now)
    await writeDurably(authorityFile, made.key + made.cert + made.root)
    await writeDurably(rootFile, made.root)
    const former = certificateIn(authority?.root ?? kept) ?? certificateIn(shown)
    const reason = authority !== null ? "expires" : isBoundless(kept) ? "unconstrained" : "lost"
    if (former !== null) notice(newAuthorityAdvice(reason, former))
    return made
  }

  function tell({ root }: Authority, certified: readonly string[], missing: readonly string[]): void {
    const news = unpermittedAdvice(missing, authorityFile)
    if (told === null) notice(trustAdvice(rootFile, root, certified))
    if (news !== "" && news !== told) notice(news)
    told = news
  }

  return {
    async current(now) {
      await mkdir(secrets, { recursive: true, mode: 0o700 })
      const wanted = names()
      demandOneServers(wanted.asked)
      const authority = await currentAuthority(wanted, now)
      const permitted = permittedOf(authority)
      const refused = wanted.asked.filter((name) => !isPermitted(name, permitted))
      if (refused.length > 0) throw notPermitted(refused, authorityFile)
      const certified = [...wanted.asked, ...wanted.own].filter((name) => isPermitted(name, permitted))
      const isGood = ({ cert }: Pair): boolean =>
        isFresh(cert, now) && isFor(certified, cert) && isIssuedBy(authority, cert)
      const pair = await keep(certificateFile, isGood, () => makeCertificate(authority, certified, now))
      const missing = wanted.own.filter(
        (name) => isIP(name) !== 6 && isOneServers(name) && !isPermitted(name, permitted),
      )
      tell(authority, certified, missing)
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

const begin = "-----BEGIN CERTIFICATE-----"

function parsePair(pem: string): Pair | null {
  const cut = pem.indexOf(begin)
  if (cut <= 0) return null
  const pair = { key: pem.slice(0, cut), cert: pem.slice(cut) }
  try {
    return new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key)) ? pair : null
  } catch {
    return null
  }
}

/** `null` for one that is damaged, or that an earlier version made without constraints. */
function parseAuthority(pem: string): Authority | null {
  const pair = parsePair(pem)
  const [, cert, root, ...more] = pem.split(begin)
  if (pair === null || cert === undefined || root === undefined || more.length > 0) return null
  const authority = { key: pair.key, cert: begin + cert, root: begin + root }
  try {
    const isWhole = new X509Certificate(authority.cert).checkIssued(new X509Certificate(authority.root))
    return isWhole && permittedNames(authority.cert) !== null ? authority : null
  } catch {
    return null
  }
}

/** Whether this is an authority of an earlier version. */
function isBoundless(pem: string): boolean {
  const cert = parsePair(pem)?.cert
  return cert !== undefined && permittedNames(cert) === null
}

function permittedOf({ cert }: Authority): readonly string[] {
  return permittedNames(cert) ?? []
}

function certificateIn(pem: string): X509Certificate | null {
  const cut = pem.indexOf(begin)
  try {
    return cut < 0 ? null : new X509Certificate(pem.slice(cut))
  } catch {
    return null
  }
}

function isFresh(pem: string, now: number): boolean {
  const { validFromDate, validToDate } = new X509Certificate(pem)
  return validFromDate.getTime() <= now && validToDate.getTime() - now > renewMs
}

function isFor(names: readonly string[], pem: string): boolean {
  const cert = new X509Certificate(pem)
  return names.every((name) => (isIP(name) === 0 ? cert.checkHost(name) : cert.checkIP(name)) !== undefined)
}

function isIssuedBy(authority: Authority, pem: string): boolean {
  const issuer = new X509Certificate(authority.cert)
  const cert = new X509Certificate(pem)
  return pem.endsWith(authority.cert) && cert.checkIssued(issuer) && cert.verify(issuer.publicKey)
}

/** @throws NOT_ALLOWED */
export function demandOneServers(asked: readonly string[]): void {
  const name = asked.find((item) => !isOneServers(item))
  if (name === undefined) return
  const advice =
    `A certificate of this server's own making cannot be for ${name}: a name without a dot may be a top-level domain, and then whoever ` +
    `gets hold of the authority's key could be every website whose name ends in .${name}. Name it with a dot, such as ${name}.local.`
  throw new AppError("NOT_ALLOWED", advice)
}

function notPermitted(names: readonly string[], authorityFile: string): AppError {
  const advice =
    `The authority that devices trust may not certify ${names.join(", ")}: when it was made, nobody asked for that. Leave it out; or ` +
    `have a new authority made, which every device has to trust again: remove ${authorityFile} and start again.`
  return new AppError("NOT_ALLOWED", advice)
}
