import "reflect-metadata"
import { randomBytes } from "node:crypto"
import { isIP } from "node:net"
import { hostname } from "node:os"
import * as x509 from "@peculiar/x509"
import { nameConstraints } from "./name-constraints.ts"

/** A private key and its certificate, both as PEM; what others need to check the certificate follows it. */
export interface Pair {
  readonly key: string
  readonly cert: string
}

/** What makes certificates for a server: a pair, and what devices trust. */
export interface Authority extends Pair {
  /** The certificate that devices trust, as PEM. Nobody has its key any more. */
  readonly root: string
}

const day = 86_400_000
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
const authorityDays = 3650
const certificateDays = 7
/** A certificate is replaced this long before it expires. */
export const renewMs = 4 * day

/** A certificate authority for one data folder, for ten years, that can certify these names and no other.
 *
 * Devices trust a root. Its key signs one certificate, the authority's, and is forgotten then: clients need not heed what a trusted
 * certificate says of itself (RFC 5280, section 6.2), but all of them heed what stands in the next one.
 * @param names  host names and IP addresses
 * @param now    milliseconds since 1970 */
export async function makeAuthority(names: readonly string[], now: number): Promise<Authority> {
  const rootKeys = await crypto.subtle.generateKey(algorithm, false, ["sign", "verify"])
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])
  // Tells an authority from those before it, in a device's list.
  const mark = randomBytes(4).toString("hex")
  const limits = [
    nameConstraints(names),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
  ]
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [`Healthcrypt authority ${mark} of ${hostname()}`.slice(0, 64)] }],
    ...validity(now, authorityDays),
    keys: rootKeys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      ...limits,
      await x509.SubjectKeyIdentifierExtension.create(rootKeys.publicKey),
    ],
  })
  const cert = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [`Healthcrypt certificates ${mark}`] }],
    issuer: root.subjectName,
    ...validity(now, authorityDays),
    publicKey: keys.publicKey,
    signingKey: rootKeys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      ...limits,
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(rootKeys.publicKey),
    ],
  })
  return { ...(await pair(keys.privateKey, cert)), root: pem(root) }
}

/** A certificate for a server, for seven days. @param names host names and IP addresses it is asked for by */
export async function makeCertificate(authority: Authority, names: readonly string[], now: number): Promise<Pair> {
  const issuer = new x509.X509Certificate(authority.cert)
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])
  const cert = await x509.X509CertificateGenerator.create({
    subject: [{ CN: ["Healthcrypt"] }],
    issuer: issuer.subjectName,
    ...validity(now, certificateDays),
    publicKey: keys.publicKey,
    signingKey: await signingKey(authority),
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names.map(alternativeName)),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  })
  const made = await pair(keys.privateKey, cert)
  return { key: made.key, cert: made.cert + authority.cert }
}

function alternativeName(name: string): x509.JsonGeneralName {
  return { type: isIP(name) === 0 ? "dns" : "ip", value: name }
}

function signingKey({ key }: Pair): Promise<CryptoKey> {
  return crypto.subtle.importKey("pkcs8", x509.PemConverter.decodeFirst(key), algorithm, false, ["sign"])
}

function validity(now: number, days: number): { notBefore: Date; notAfter: Date } {
  // A day back, for clients whose clocks are behind.
  return { notBefore: new Date(now - day), notAfter: new Date(now + days * day) }
}

async function pair(privateKey: CryptoKey, cert: x509.X509Certificate): Promise<Pair> {
  const key = await crypto.subtle.exportKey("pkcs8", privateKey)
  return { key: `${x509.PemConverter.encode(key, "PRIVATE KEY")}\n`, cert: pem(cert) }
}

function pem(cert: x509.X509Certificate): string {
  return `${cert.toString("pem")}\n`
}
