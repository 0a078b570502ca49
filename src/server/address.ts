import { lookup } from "node:dns/promises"
import { BlockList, isIP } from "node:net"
import { hostname, networkInterfaces } from "node:os"
import { domainToASCII } from "node:url"

const loopback = new BlockList()
loopback.addSubnet("127.0.0.0", 8, "ipv4")
loopback.addAddress("::1", "ipv6")

/** Whether what is sent to this host never leaves the machine. A name counts when all of its addresses do. */
export async function isLoopback(host: string): Promise<boolean> {
  const addresses = await addressesOf(host)
  return addresses.length > 0 && addresses.every(isLoopbackAddress)
}

/** What a server may be asked for by. */
export interface ServerNames {
  /** What its operator named: the `--host`, unless that is every address, and further names. */
  readonly asked: readonly string[]
  /** What this machine goes by at the moment: loopback, its name, its name with `.local`, its addresses. */
  readonly own: readonly string[]
}

/** @param further names and addresses as `parseServerName` returns them */
export function serverNames(host: string, further: readonly string[] = []): ServerNames {
  const machine = hostname().toLowerCase()
  const ofMachine = machine.includes(".") ? [machine] : [machine, `${machine}.local`]
  const asked = [host, ...further].flatMap((name) => parseServerName(name) ?? [])
  const own = [
    "localhost",
    "127.0.0.1",
    "::1",
    ...ofMachine.flatMap((name) => parseServerName(name) ?? []),
    ...addresses(),
  ]
  return { asked: [...new Set(asked)], own: [...new Set(own)].filter((name) => !asked.includes(name)) }
}

/** A host name in lower case and ASCII, or an address in its shortest form; `null` for what names no one server, such as `*.example`
 * and `0.0.0.0`. */
export function parseServerName(text: string): string | null {
  if (isIP(text) === 6)
    return isUnspecified(text) || text.includes("%") ? null : new URL(`http://[${text}]`).hostname.slice(1, -1)
  if (isIP(text) === 4) return isUnspecified(text) ? null : text
  // It would take what it does not understand for the end of a name.
  if (!/^[a-z0-9._\u0080-\uffff-]+$/i.test(text)) return null
  const name = domainToASCII(text.replace(/\.$/, "").toLowerCase())
  const labels = name.split(".")
  const isName = labels.every((label) => /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/.test(label)) && /\D/.test(labels.at(-1)!)
  return isName && name.length <= 253 ? name : null
}

/** @param port the one that is really listened on. */
export function urlOf(scheme: "http" | "https", name: string, port: number): string {
  return `${scheme}://${isIP(name) === 6 ? `[${name}]` : name}:${port}`
}

/** What to type into a browser for a server that listens on `host`. */
export async function nameFor(host: string): Promise<string> {
  if (host === "127.0.0.1") return (await addressesOf("localhost")).includes(host) ? "localhost" : host
  if (!isUnspecified(host)) return host
  return addresses().find((address) => isIP(address) === 4) ?? "localhost"
}

/** Where a server for this host has to listen, so that nobody else does by the same name on the same port: Chromium and Firefox take
 * `localhost` for both addresses of loopback, [::1] first, and any user of the machine may listen there. Beyond loopback, TLS tells them apart. */
export async function addressesToHold(host: string): Promise<readonly [string, ...string[]]> {
  if (isLocalhost(host)) return parseServerName(host) === "::1" ? ["::1", "127.0.0.1"] : ["127.0.0.1", "::1"]
  if (isIP(host) !== 0 || !(await isLoopback(host))) return [host]
  const [first = host, ...others] = new Set(await addressesOf(host))
  return [first, ...others]
}

/** Whether a server with this host holds the name `localhost`. */
export function isLocalhost(host: string): boolean {
  return ["localhost", "127.0.0.1", "::1"].includes(parseServerName(host) ?? "")
}

/** This machine's addresses, without those of loopback and those that mean something on one link alone. */
function addresses(): string[] {
  const found = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return found.filter(({ internal, address }) => !internal && !/^fe[89ab]/i.test(address)).map(({ address }) => address)
}

function isUnspecified(host: string): boolean {
  return host === "0.0.0.0" || host === "::" || host === ""
}

function isLoopbackAddress(address: string): boolean {
  return loopback.check(address, isIP(address) === 6 ? "ipv6" : "ipv4")
}

async function addressesOf(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host]
  if (host === "") return []
  try {
    return (await lookup(host, { all: true })).map((found) => found.address)
  } catch {
    return []
  }
}
