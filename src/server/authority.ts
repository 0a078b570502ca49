import "reflect-metadata"
import { isIP } from "node:net"
import { hostname } from "node:os"
import * as x509 from "@peculiar/x509"

/** A private key and its certificate, both as PEM. */
export interface Pair {
  readonly key: string
  readonly cert: string
}

const day = 86_400_000
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
const authorityDays = 3650
const certificateDays = 90
/** A certificate is replaced this long before it expires. */
export const renewMs = 30 * day

/** A certificate authority for one data folder, for ten years. @param now milliseconds since 1970 */
export async function makeAuthority(now: number): Promise<Pair> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [`Healthcrypt authority of ${hostname()}`] }],
    ...validity(now, authorityDays),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return pair(keys.privateKey, cert)
}

/** A certificate for a server, for ninety days. @param names host names and IP addresses it is asked for by */
export async function makeCertificate(authority: Pair, names: readonly string[], now: number): Promise<Pair> {
  const issuer = new x509.X509Certificate(authority.cert)
  const signingKey = await crypto.subtle.importKey(
    "pkcs8",
    x509.PemConverter.decodeFirst(authority.key),
    algorithm,
    false,
    ["sign"],
  )
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])
  const cert = await x509.X509CertificateGenerator.create({
    subject: [{ CN: ["Healthcrypt"] }],
    issuer: issuer.subjectName,
    ...validity(now, certificateDays),
    publicKey: keys.publicKey,
    signingKey,
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
  return pair(keys.privateKey, cert)
}

function alternativeName(name: string): x509.JsonGeneralName {
  return { type: isIP(name) === 0 ? "dns" : "ip", value: name }
}

function validity(now: number, days: number): { notBefore: Date; notAfter: Date } {
  // An hour back, for clients whose clocks are behind.
  return { notBefore: new Date(now - 3_600_000), notAfter: new Date(now + days * day) }
}

async function pair(privateKey: CryptoKey, cert: x509.X509Certificate): Promise<Pair> {
  const key = await crypto.subtle.exportKey("pkcs8", privateKey)
  return { key: `${x509.PemConverter.encode(key, "PRIVATE KEY")}\n`, cert: `${cert.toString("pem")}\n` }
}
