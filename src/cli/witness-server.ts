import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { type Witness, type WitnessAnswer, witnessBodyBytes } from "../client/witness.ts"

/** Whoever sends slowly, much, or over many connections, is cut: honest requests have a few kilobytes. */
const limits = { headersMs: 5_000, requestMs: 10_000, idleMs: 30_000, checkMs: 1_000, connections: 256 }

interface Reply {
  readonly status: number
  readonly contentType: string
  readonly body: string
  readonly allow?: string
}

/** The HTTP side of a witness: POST /add-checkpoint and GET /<origin hash>/checkpoint. C2SP tlog-witness, "HTTP Interface" */
export function witnessServer(witness: Witness): Server {
  const server = createServer(
    {
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.idleMs,
      connectionsCheckingInterval: limits.checkMs,
    },
    (request, response) => {
      answer(witness, request).then(
        (reply) => send(request, response, reply),
        () => send(request, response, text(503, "The witness cannot answer right now. Try again in a moment.")),
      )
    },
  )
  server.maxConnections = limits.connections
  return server
}

async function answer(witness: Witness, request: IncomingMessage): Promise<Reply | WitnessAnswer | null> {
  const { method, url } = request
  if (url === "/add-checkpoint") {
    if (method !== "POST") return { ...text(405, "Send this with POST."), allow: "POST" }
    const body = await bodyOf(request)
    if (body === "broken off") return null
    return body === "too large" ? text(413, "This is larger than any checkpoint.") : witness.addCheckpoint(body)
  }
  const [, hash] = /^\/([0-9a-f]{64})\/checkpoint$/.exec(url ?? "") ?? []
  if (hash === undefined) return text(404, "There is nothing here. A witness has /add-checkpoint.")
  return method === "GET" ? witness.checkpoint(hash) : { ...text(405, "Send this with GET."), allow: "GET" }
}

/** Reads no more than a request may have. */
function bodyOf(request: IncomingMessage): Promise<Uint8Array | "too large" | "broken off"> {
  return new Promise((resolve) => {
    if (Number(request.headers["content-length"]) > witnessBodyBytes) resolve("too large")
    const chunks: Buffer[] = []
    let bytes = 0
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= witnessBodyBytes) chunks.push(chunk)
      else {
        request.pause()
        resolve("too large")
      }
    })
    request.on("end", () => resolve(new Uint8Array(Buffer.concat(chunks))))
    request.on("error", () => resolve("broken off"))
    request.on("close", () => resolve("broken off"))
  })
}

function send(request: IncomingMessage, response: ServerResponse, reply: Reply | WitnessAnswer | null): void {
  if (reply === null || response.destroyed) {
    request.destroy()
    return
  }
  const { status, contentType, body } = reply
  // What was not read to its end cannot be followed by another request.
  const close = request.complete ? {} : { connection: "close" }
  const allow = "allow" in reply ? { allow: reply.allow } : {}
  const headers = { "content-type": contentType, "content-length": Buffer.byteLength(body), ...allow, ...close }
  response.writeHead(status, headers).end(body, () => {
    if (!request.complete) request.destroy()
  })
}

function text(status: number, body: string): Reply {
  return { status, contentType: "text/plain; charset=utf-8", body: `${body}\n` }
}
