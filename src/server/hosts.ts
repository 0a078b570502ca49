import type { X509Certificate } from "node:crypto"
import type { IncomingMessage } from "node:http"
import { isIP } from "node:net"
import type { FastifyInstance } from "fastify"
import { AppError } from "../errors.ts"
import { isLocalhost, isLoopback, parseServerName, serverNames } from "./address.ts"

/** By which names a server wants to be asked for. */
export interface HostRules {
  /** What it listens on. */
  readonly host: string
  /** What its operator named besides, as `parseServerName` returns it. */
  readonly named: readonly string[]
  /** The port that is really listened on. */
  readonly port: () => number
  /** What it serves TLS with; null where it does not. */
  readonly certificate: () => X509Certificate | null
}

/** Whether a request asks for this server by a name that is its own.
 *
 * Whoever owns a domain can have it lead to any address ("DNS rebinding"): a page of theirs is then one of this server's, as far as a
 * browser can tell, and only the name in the request gives it away. `X-Forwarded-Host` is not heeded: a page can set it. */
export type IsMeant = (request: IncomingMessage) => boolean

export async function hostCheck({ host, named, port, certificate }: HostRules): Promise<IsMeant> {
  const onLoopback = await isLoopback(host)
  const byLoopback = isLocalhost(host)
  const listened = parseServerName(host)
  const isOwn = ({ name, port: asked }: Asked): boolean => {
    if (onLoopback) return (name === listened || (byLoopback && isLocalhost(name))) && asked === port()
    // On every address it goes by whatever the machine goes by at this moment.
    return listened === null ? serverNames(host).own.includes(name) : name === listened
  }
  const isMeant = (asked: Asked): boolean =>
    named.includes(asked.name) || isFor(certificate(), asked.name) || isOwn(asked)
  return (request) => {
    const all = askedFor(request, certificate() === null ? 80 : 443)
    return all.length > 0 && all.every((asked) => asked !== null && isMeant(asked))
  }
}

/** Refuses every request, for the page and the log as well, that asks for another server. */
export function demandMeant(app: FastifyInstance, isMeant: IsMeant): void {
  app.addHook("onRequest", async (request, reply) => {
    // RFC 9112, section 3.2
    if (request.headers.host === undefined && request.raw.httpVersion === "1.1") throw new AppError("BAD_INPUT_FORMAT")
    if (isMeant(request.raw)) return
    const refusal = new AppError("NOT_ALLOWED_HOST")
    if (!/text\/html/.test(request.headers.accept ?? "")) throw refusal
    return reply.code(refusal.status).type("text/plain; charset=utf-8").send(`${refusal.message}\n`)
  })
}

/** The name of a `Host` header without its port, in lower case; null for what is none. */
export function hostName(host: string | undefined): string | null {
  return parseHost(host ?? "", 0)?.name ?? null
}

interface Asked {
  readonly name: string
  readonly port: number
}

/** Every name that a request gives to whom it asks; null for one that is none. Source: RFC 9112, section 3.2. */
function askedFor(request: IncomingMessage, usualPort: number): (Asked | null)[] {
  const hosts = request.headersDistinct.host ?? []
  const target = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(request.url ?? "")?.[1]
  // Two headers may be two servers to two programs.
  if (hosts.length > 1) return []
  return [...hosts, ...(target === undefined ? [] : [target])].map((text) => parseHost(text, usualPort))
}

function parseHost(text: string, usualPort: number): Asked | null {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-f:.]+)\]|([^\s:/?#@[\]\\]+))(?::(\d{0,5}))?$/i.exec(text) ?? []
  const name = bracketed !== undefined && isIP(bracketed) !== 6 ? null : parseServerName(bracketed ?? plain ?? "")
  return name === null ? null : { name, port: port ? Number(port) : usualPort }
}

function isFor(certificate: X509Certificate | null, name: string): boolean {
  if (certificate === null) return false
  return (
    (isIP(name) === 0 ? certificate.checkHost(name, { subject: "never" }) : certificate.checkIP(name)) !== undefined
  )
}
