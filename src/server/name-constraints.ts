import "reflect-metadata"
import { isIP } from "node:net"
import * as x509 from "@peculiar/x509"

/** Limits what an authority may certify, in X.509 (RFC 5280, section 4.2.1.10). */
const nameConstraintsId = "2.5.29.30"

/** A name that only documentation has (RFC 2606). No mail address and no URI of anybody's is in it. */
const nobody = "invalid"
const tags = { sequence: 0x30, permitted: 0xa0, dns: 0x82, ip: 0x87 }

/** A critical extension that permits these names and addresses, and nothing else.
 *
 * A kind of name that a constraint does not speak of is permitted whole. So there has to be one of each kind: without a DNS name or
 * an address, `invalid` and 127.0.0.1 stand in; mail addresses and URIs are permitted for `invalid` alone. Directory names are left
 * out: no client takes one for a server, and Go refuses a constraint of them.
 *
 * A permitted DNS name takes in what ends in a dot and that name. A leading dot would not change that in every client, and some
 * refuse it. Addresses are permitted one by one (/32, /128). */
export function nameConstraints(names: readonly string[]): x509.Extension {
  const ips = names.filter((name) => isIP(name) !== 0)
  const dns = names.filter((name) => isIP(name) === 0)
  const bases = [
    ...(dns.length > 0 ? dns : [nobody]).map((name) => new x509.GeneralName("dns", name)),
    ...(ips.length > 0 ? ips : ["127.0.0.1"]).map(
      (ip) => new x509.GeneralName("ip", `${ip}/${isIP(ip) === 4 ? 32 : 128}`),
    ),
    new x509.GeneralName("email", nobody),
    new x509.GeneralName("url", nobody),
  ]
  const subtrees = bases.map((base) => element(tags.sequence, new Uint8Array(base.rawData)))
  const value = element(tags.sequence, element(tags.permitted, ...subtrees))
  return new x509.Extension(nameConstraintsId, true, value)
}

/** The names and addresses that a certificate's constraints permit; `null` where it has none that are critical. Reads what
 * `nameConstraints` makes. @param pem the certificate; what follows it is not looked at */
export function permittedNames(pem: string): readonly string[] | null {
  const extension = new x509.X509Certificate(pem).getExtension(nameConstraintsId)
  if (extension === null || !extension.critical) return null
  const [sequence] = elements(new Uint8Array(extension.value))
  const [permitted] = elements(sequence!.content)
  if (permitted?.tag !== tags.permitted) return null
  return elements(permitted.content).flatMap(({ content }) => {
    const { tag } = elements(content)[0]!
    if (tag !== tags.dns && tag !== tags.ip) return []
    return [new x509.GeneralName(content).value.replace(/\/(32|128)$/, "")]
  })
}

/** Whether a name is one of those that are permitted, or lies under one. */
export function isPermitted(name: string, permitted: readonly string[]): boolean {
  return permitted.some((base) => name === base || (isIP(base) === 0 && isIP(name) === 0 && name.endsWith(`.${base}`)))
}

/** Whether an authority may have this name without being any website under a top-level domain. A name without a dot that could be
 * one, such as `clinic`, would permit `bank.clinic`. Top-level domains have letters alone, or begin with `xn--`. */
export function isOneServers(name: string): boolean {
  return name === "localhost" || isIP(name) !== 0 || !/^([a-z]+|xn--.*)$/.test(name)
}

/** DER: tag, length, content. */
function element(tag: number, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const lengthBytes = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  const bytes = new Uint8Array(1 + lengthBytes.length + length)
  bytes.set([tag, ...lengthBytes])
  let at = 1 + lengthBytes.length
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

function elements(bytes: Uint8Array): { tag: number; content: Uint8Array<ArrayBuffer> }[] {
  const found = []
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!
    const first = bytes[at + 1]!
    const more = first < 0x80 ? 0 : first & 0x7f
    const length = more === 0 ? first : bytes.slice(at + 2, at + 2 + more).reduce((sum, byte) => sum * 256 + byte, 0)
    const start = at + 2 + more
    found.push({ tag, content: bytes.slice(start, start + length) })
    at = start + length
  }
  return found
}
