import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import fastifyStatic from "@fastify/static"
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { AppError } from "../errors.ts"
import { hostName } from "./hosts.ts"

/** The folder that `npm run build` fills. */
export const builtPage = join(import.meta.dirname, "../../dist/web")

const indexFile = "index.html"
const shared = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy":
    "accelerometer=(), camera=(self), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), " +
    "midi=(), payment=(), usb=()",
}
const yearSeconds = 31_536_000
const strictTransport = `max-age=${yearSeconds}`
const immutable = `public, max-age=${yearSeconds}, immutable`

/** Pieces of a file on their way; besides, it is open for so long. */
const streamBytes = 4 * 64 * 1024

/** What nothing but the page may do: answers of the API are never documents. */
const closedPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

/** A script of the page runs under its own answer's policy when it is started as a worker. */
const scriptPolicy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ")

function pagePolicy(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data: blob:",
    "connect-src 'self'",
    "worker-src 'self'",
    "font-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types healthcrypt",
  ].join("; ")
}

/** Puts the security headers on every answer of this server. Called before any route is added.
 * @param secure whether browsers reach this server through TLS */
export function addSecurityHeaders(app: FastifyInstance, secure: boolean): void {
  app.addHook("onRequest", async (request, reply) => {
    reply.headers(shared)
    reply.header("content-security-policy", closedPolicy)
    // Not for localhost: the promise would bind every other program that is ever served there.
    if (secure && hostName(request.headers.host) !== "localhost")
      reply.header("strict-transport-security", strictTransport)
  })
}

/** @throws UNAVAILABLE when the page has not been built */
export function demandPage(root: string): void {
  if (existsSync(join(root, indexFile))) return
  const advice = "The page has not been built yet. Run `npm run build` in Healthcrypt's folder, then start again."
  throw new AppError("UNAVAILABLE", advice)
}

/** Serves the page: its assets, precompressed and kept by browsers for ever, and index.html with a nonce of its own at every
 * other address that a browser goes to.
 * @param root see {@link builtPage}; {@link demandPage} was asked before */
export async function servePage(app: FastifyInstance, root: string): Promise<void> {
  const index = join(root, indexFile)
  await app.register(fastifyStatic, { root, serve: false, preCompressed: true, cacheControl: false, index: false })
  app.get("/*", { config: { streamBytes } }, async (request, reply) => {
    const path = pathOf(request)
    if (isReserved(path)) return reply.callNotFound()
    if (await isFile(root, path)) {
      reply.header("content-security-policy", scriptPolicy)
      return reply.header("cache-control", path.startsWith("/assets/") ? immutable : "no-cache").sendFile(path.slice(1))
    }
    return path.startsWith("/assets/") || !acceptsHtml(request) ? reply.callNotFound() : sendIndex(reply, index)
  })
}

async function sendIndex(reply: FastifyReply, index: string): Promise<FastifyReply> {
  const nonce = randomBytes(16).toString("base64")
  const html = await readFile(index, "utf8")
  return reply
    .header("content-security-policy", pagePolicy(nonce))
    .header("cache-control", "no-cache")
    .type("text/html; charset=utf-8")
    .send(html.replaceAll("__NONCE__", nonce))
}

/** Addresses that programs ask for; a page there would only confuse them. */
function isReserved(path: string): boolean {
  return /^\/(api|log)(\/|$)/.test(path)
}

async function isFile(root: string, path: string): Promise<boolean> {
  if (!/^(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$/.test(path) || path === `/${indexFile}`) return false
  const found = await stat(join(root, path)).catch(() => null)
  return found?.isFile() === true
}

function pathOf(request: FastifyRequest): string {
  return request.url.split("?", 1)[0]!
}

function acceptsHtml(request: FastifyRequest): boolean {
  const accept = request.headers.accept
  return accept === undefined || /text\/html|\*\/\*/.test(accept)
}
