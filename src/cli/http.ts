import { readFileSync } from "node:fs"
import { Agent, request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http"
import { request as httpsRequest, Agent as SecureAgent } from "node:https"
import { rootCertificates } from "node:tls"
import { urlToHttpOptions } from "node:url"
import { answerBytes, type HttpRequest, type OpenStream, readOnlyHeader, type Send } from "../client/transport.ts"
import { AppError } from "../errors.ts"

/** How long a server may say nothing: a command ends within ten seconds when nobody answers. */
const silenceMs = 8_000

/** How much and how long an answer may be, where it comes from a server that nobody vouches for. */
export interface AnswerLimits {
  readonly bytes: number
  readonly ms: number
}

export interface Connection {
  readonly send: Send
  readonly open: OpenStream
  close(): void
}

/** Speaks HTTP from a terminal. Plain HTTP is for this machine alone.
 * @param caFile a certificate authority to trust besides the system's: HEALTHCRYPT_CA
 * @param limits beyond these an answer is none
 * @param from where the address was given: a variable or an option
 * @param onReadOnly told with every answer of a server that says that it can store nothing
 * @throws BAD_INPUT_FORMAT */
export function connect(
  server: string,
  caFile: string | undefined,
  limits?: AnswerLimits,
  from = "HEALTHCRYPT_SERVER",
  onReadOnly: () => void = () => {},
): Connection {
  const url = parseServer(server, from)
  const secure = url.protocol === "https:"
  // A timer and a URL of its own would double what a request costs.
  const options = { keepAlive: true, maxSockets: 8, timeout: silenceMs }
  const address = urlToHttpOptions(url)
  const newAgent = (kept: typeof options) =>
    secure
      ? new SecureAgent({
          ...kept,
          minVersion: "TLSv1.3",
          ...(caFile === undefined ? {} : { ca: authorities(caFile) }),
        })
      : new Agent(kept)
  const agent = newAgent(options)
  const fresh = newAgent({ ...options, keepAlive: false })
  const request = secure ? httpsRequest : httpRequest

  /** Asks, and once more on a fresh connection where the server had closed the one that was kept. Only what reads: what changes something
   * may have arrived. */
  const ask = <T>(
    asked: HttpRequest,
    more: RequestOptions,
    read: (response: IncomingMessage) => T | Promise<T>,
    again = false,
  ): Promise<T> =>
    new Promise((resolve, reject) => {
      const { method, path, body } = asked
      let hasAnswer = false
      const sent = request({ ...address, ...more, path, method, agent: again ? fresh : agent }, (response) => {
        hasAnswer = true
        resolve(read(response))
      })
      sent.on("timeout", () => sent.destroy(new Error("no answer")))
      sent.on("error", (cause) => {
        const isStale = !again && !hasAnswer && sent.reusedSocket && isClosed(cause)
        if (isStale && method === "GET") resolve(ask(asked, more, read, true))
        else reject(unreachable(url, from, cause))
      })
      sent.end(body)
    })

  return {
    close: () => {
      agent.destroy()
      fresh.destroy()
    },
    open: (asked, signal) =>
      ask(asked, { headers: asked.headers, signal, timeout: 0 }, (response) => ({
        status: response.statusCode ?? 0,
        chunks: chunksOf(url, from, response),
      })),
    send: (asked) => {
      const { headers, body, mostBytes = answerBytes } = asked
      const length = body === undefined ? {} : { "content-length": body.length }
      const late = limits === undefined ? {} : { signal: AbortSignal.timeout(limits.ms) }
      const most = Math.min(mostBytes, limits?.bytes ?? mostBytes)
      const more = { headers: { ...headers, ...length }, timeout: silenceMs, ...late }
      return ask(asked, more, async (response) => {
        const bytes = await collect(response, most).catch((cause) => {
          throw unreachable(url, from, cause)
        })
        if (response.headers[readOnlyHeader] !== undefined) onReadOnly()
        return { status: response.statusCode ?? 0, body: bytes }
      })
    },
  }
}

/** Whether a connection ended. */
function isClosed(cause: Error): boolean {
  const { code } = cause as NodeJS.ErrnoException
  return code === "ECONNRESET" || code === "EPIPE"
}

async function* chunksOf(url: URL, from: string, response: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response) yield chunk
  } catch (cause) {
    throw unreachable(url, from, cause)
  }
}

/** An answer that says how long it is goes straight into its place. */
function collect(response: IncomingMessage, mostBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const said = Number(response.headers["content-length"] ?? Number.NaN)
    const place = said <= mostBytes ? new Uint8Array(said) : null
    const chunks: Buffer[] = []
    let bytes = 0
    response.on("data", (chunk: Buffer) => {
      if (bytes + chunk.length > mostBytes) response.destroy(new Error("too much"))
      else if (place === null) chunks.push(chunk)
      else place.set(chunk, bytes)
      bytes += chunk.length
    })
    response.on("end", () => resolve(place ?? Buffer.concat(chunks)))
    response.on("error", reject)
  })
}

function parseServer(server: string, from: string): URL {
  let url: URL
  try {
    url = new URL(server)
  } catch {
    throw new AppError("BAD_INPUT_FORMAT", `${from} is not an address. Write it like http://localhost:5000.`)
  }
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new AppError(
      "BAD_INPUT_FORMAT",
      `The address in ${from} has to begin with https:// or, on this machine, http://.`,
    )
  const loopback = url.hostname === "localhost" || url.hostname === "[::1]" || /^127(\.\d+){3}$/.test(url.hostname)
  if (url.protocol === "http:" && !loopback)
    throw new AppError("BAD_INPUT_FORMAT", `Plain http:// is for this machine alone. Use https:// in ${from}.`)
  return url
}

function authorities(file: string): string[] {
  try {
    return [...rootCertificates, readFileSync(file, "utf8")]
  } catch (cause) {
    throw new AppError("BAD_INPUT_FORMAT", "The file named in HEALTHCRYPT_CA cannot be read. Check its path.", {
      cause,
    })
  }
}

function unreachable(url: URL, from: string, cause: unknown): AppError {
  const code = (cause instanceof Error && (cause as NodeJS.ErrnoException).code) || ""
  return new AppError("UNAVAILABLE_SERVER", adviceFor(code, url.origin, from), { cause })
}

/** @param code of Node, or of OpenSSL by way of Node */
function adviceFor(code: string, origin: string, from: string): string {
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return `The certificate of ${origin} is for other names than this one. Check ${from}.`
  if (/CERT|SELF_SIGNED|VERIFY|ISSUER/.test(code))
    return `The certificate of ${origin} is not trusted. Name the practice's authority in HEALTHCRYPT_CA.`
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH|EPROTO/.test(code))
    return `The server at ${origin} answers, but not with TLS. Where it runs on this machine without TLS, write http:// in ${from}.`
  if (code.startsWith("ERR_SSL_")) return `TLS with the server at ${origin} fails (${code}). Check ${from}.`
  const refused = code === "ECONNREFUSED" ? ": it takes no connection" : ""
  return `The server at ${origin} cannot be reached${refused}. Check that it runs, and ${from}.`
}
