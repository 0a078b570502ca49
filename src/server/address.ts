import { lookup } from "node:dns/promises"
import { BlockList, isIP } from "node:net"
import { hostname, networkInterfaces } from "node:os"

const loopback = new BlockList()
loopback.addSubnet("127.0.0.0", 8, "ipv4")
loopback.addAddress("::1", "ipv6")

/** Whether what is sent to this host never leaves the machine. A name counts when all of its addresses do. */
export async function isLoopback(host: string): Promise<boolean> {
  const addresses = await addressesOf(host)
  return addresses.length > 0 && addresses.every(isLoopbackAddress)
}

/** Every name and address under which a server that listens on `host` may be asked for: for its certificate. */
export function certificateNames(host: string): string[] {
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const addresses = own.map((item) => item.address).filter((address) => !address.includes("%"))
  const names = [host, "localhost", hostname().toLowerCase(), "127.0.0.1", "::1", ...addresses]
  return [...new Set(names.filter((name) => !isUnspecified(name)))]
}

/** The address to type into a browser. @param port the one that is really listened on. */
export async function urlOf(scheme: "http" | "https", host: string, port: number): Promise<string> {
  const name = await nameFor(host)
  return `${scheme}://${isIP(name) === 6 ? `[${name}]` : name}:${port}`
}

async function nameFor(host: string): Promise<string> {
  if (host === "127.0.0.1") return (await addressesOf("localhost")).includes(host) ? "localhost" : host
  if (!isUnspecified(host)) return host
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return own.find((item) => item.family === "IPv4" && !item.internal)?.address ?? "localhost"
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
