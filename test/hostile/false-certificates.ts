import "reflect-metadata"
import * as x509 from "@peculiar/x509"
import type { Pair } from "../../src/server/authority.ts"

const day = 86_400_000
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
const server = [x509.ExtendedKeyUsage.serverAuth]

/** What a thief of an authority's key makes with it. */
export interface FalseCertificate {
  readonly what: string
  /** Under which somebody is to be fooled. */
  readonly name: string
  /** Browsers take no subject for a host name, whoever signed it. */
  readonly isNoneInBrowsers?: true
  /** @param authority its key and its chain, as they lie in the secrets folder @returns a key and the chain to serve */
  make(authority: Pair): Promise<Pair>
}

const names = (...values: string[]): x509.JsonGeneralName[] =>
  values.map((value) => ({ type: /^[\d.]+$|:/.test(value) ? "ip" : "dns", value }))

const leaf = (what: string, name: string, options: Partial<Options>): FalseCertificate => ({
  what,
  name,
  ...(options.cn === name && { isNoneInBrowsers: true }),
  make: (authority) => issue(authority, { cn: "Healthcrypt", names: names(name), ...options }),
})

/** One after the other is served to clients that trust the authority. */
export const falseCertificates: readonly FalseCertificate[] = [
  leaf("a certificate for a bank", "bank.example", {}),
  leaf("a certificate for a bank beside this server", "bank.example", { names: names("localhost", "bank.example") }),
  leaf("a certificate for whatever ends in a name of this server's", "practice.local.bank.example", {}),
  leaf("a certificate for every name of a domain", "www.bank.example", { names: names("*.bank.example") }),
  leaf("a certificate for another address", "203.0.113.9", {}),
  leaf("a certificate for an address beside this server", "203.0.113.9", { names: names("127.0.0.1", "203.0.113.9") }),
  leaf("a certificate for another address of IPv6", "2001:db8::9", {}),
  leaf("a certificate that names a bank as its subject alone", "bank.example", { cn: "bank.example", names: [] }),
  leaf("a certificate that names a bank as its subject, with an address of this server's", "bank.example", {
    cn: "bank.example",
    names: names("127.0.0.1"),
  }),
  {
    what: "an authority under the authority, and its certificate for a bank",
    name: "bank.example",
    make: (authority) => underneath(authority, { cn: "Healthcrypt sub-authority" }, "bank.example"),
  },
  {
    what: "an authority under the authority with other constraints, and its certificate for a bank",
    name: "bank.example",
    make: (authority) =>
      underneath(
        authority,
        { cn: "Healthcrypt sub-authority", more: [new x509.Extension("2.5.29.30", true, permittingBank)] },
        "bank.example",
      ),
  },
  {
    what: "an authority of the authority's own name, and its certificate for a bank",
    name: "bank.example",
    make: (authority) => underneath(authority, { cn: null }, "bank.example"),
  },
  {
    what: "an authority under the authority, and its certificate for this server",
    name: "localhost",
    make: (authority) => underneath(authority, { cn: "Healthcrypt sub-authority" }, "localhost"),
  },
]

/** A certificate that is no server's, and what somebody would take it for. */
export const otherPurposes: readonly { what: string; purpose: string; make(authority: Pair): Promise<Pair> }[] = [
  {
    what: "a certificate for signing mail",
    purpose: "smimesign",
    make: (authority) =>
      issue(authority, {
        cn: "Bank",
        names: [{ type: "email", value: "director@bank.example" }],
        usage: [x509.ExtendedKeyUsage.emailProtection],
      }),
  },
  {
    what: "a certificate for whoever signs in somewhere",
    purpose: "sslclient",
    make: (authority) => issue(authority, { cn: "Director", names: [], usage: [x509.ExtendedKeyUsage.clientAuth] }),
  },
  {
    what: "a server's certificate with a mail address",
    purpose: "sslserver",
    make: (authority) => issue(authority, { cn: "Bank", names: [{ type: "email", value: "director@bank.example" }] }),
  },
  {
    what: "a server's certificate with a URI",
    purpose: "sslserver",
    make: (authority) => issue(authority, { cn: "Bank", names: [{ type: "url", value: "https://bank.example/" }] }),
  },
]

/** DER of a constraint that permits bank.example. */
const permittingBank = Buffer.from("3012a010300e820c62616e6b2e6578616d706c65", "hex")

interface Options {
  /** `null` takes the issuer's name. */
  readonly cn: string | null
  readonly names: readonly x509.JsonGeneralName[]
  readonly isAuthority?: boolean
  readonly usage?: readonly x509.ExtendedKeyUsageType[]
  readonly more?: readonly x509.Extension[]
}

async function underneath(authority: Pair, options: Pick<Options, "cn" | "more">, name: string): Promise<Pair> {
  return issue(await issue(authority, { ...options, names: [], isAuthority: true }), {
    cn: "Healthcrypt",
    names: names(name),
  })
}

/** An authority without constraints, as 0.2 made them: what the false certificates are good for elsewhere. */
export async function boundlessAuthority(): Promise<Pair> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: ["Healthcrypt authority of practice"] }],
    ...validity(),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return toPair(keys.privateKey, cert.toString("pem"), "")
}

/** Signs whatever it is told to. */
async function issue(
  issuer: Pair,
  { cn, names, isAuthority = false, usage = server, more = [] }: Options,
): Promise<Pair> {
  const cert = new x509.X509Certificate(issuer.cert)
  const der = x509.PemConverter.decodeFirst(issuer.key)
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])
  const made = await x509.X509CertificateGenerator.create({
    subject: cn === null ? cert.subjectName : [{ CN: [cn] }],
    issuer: cert.subjectName,
    ...validity(),
    publicKey: keys.publicKey,
    signingKey: await crypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]),
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(isAuthority, undefined, true),
      new x509.KeyUsagesExtension(
        isAuthority ? x509.KeyUsageFlags.keyCertSign : x509.KeyUsageFlags.digitalSignature,
        true,
      ),
      new x509.ExtendedKeyUsageExtension([...usage]),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension([...names])] : []),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(cert.publicKey),
      ...more,
    ],
  })
  return toPair(keys.privateKey, made.toString("pem"), issuer.cert)
}

function validity() {
  return { notBefore: new Date(Date.now() - day), notAfter: new Date(Date.now() + 7 * day) }
}

async function toPair(privateKey: CryptoKey, cert: string, above: string): Promise<Pair> {
  const key = await crypto.subtle.exportKey("pkcs8", privateKey)
  return { key: `${x509.PemConverter.encode(key, "PRIVATE KEY")}\n`, cert: `${cert}\n${above}` }
}
