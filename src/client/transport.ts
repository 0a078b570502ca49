import type { z } from "zod"
import { concatAll, parseUtf8, utf8 } from "../encoding/bytes.ts"
import type { SessionId } from "../encoding/ids.ts"
import { isSmallJson } from "../encoding/json-size.ts"
import { AppError, isErrorCode } from "../errors.ts"
import {
  backgroundHeader,
  pageHeader,
  paths,
  protocolHeader,
  protocolVersion,
  readOnlyHeader,
  sessionHeader,
} from "../protocol/paths.ts"
import { refusal } from "../protocol/records.ts"

export { readOnlyHeader }

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** A longer answer is none: whoever sends the request stops reading there. Left out: {@link answerBytes}. */
  readonly mostBytes?: number
}

export interface HttpResponse {
  readonly status: number
  readonly body: Uint8Array
  /** Whether the server says that it can store nothing. */
  readonly readOnly?: boolean
}

/** An answer in JSON: the largest has one entry with a body of 16 MiB. It is measured and counted before it is read. */
export const answerBytes = 40 * 1024 * 1024
const answerNodes = 1_000_000
const answerDepth = 16

/** How long a server may take to answer a browser: the largest upload over a slow line fits in. */
const answerMs = 120_000

/** A loss that took longer than this is told to the physician, who may choose to try again. */
const resendWithinMs = 3_000

/** An answer that goes on for as long as both sides want. */
export interface HttpStream {
  readonly status: number
  readonly chunks: AsyncIterable<Uint8Array>
}

/** Opens an answer that comes piece by piece. @throws UNAVAILABLE_SERVER when none begins, or when it is lost on the way */
export type OpenStream = (request: HttpRequest, signal: AbortSignal) => Promise<HttpStream>

/** Sends one request. @throws UNAVAILABLE_SERVER when no answer comes */
export type Send = (request: HttpRequest) => Promise<HttpResponse>

/** What may be sent while a restored server is not confirmed: nothing that changes anything, apart from signing in and out and from asking
 * for proofs; and, once it is, while the password or the words have to be changed first. */
const whileHeld: ReadonlySet<string> = new Set<string>([paths.prefixes, paths.session, paths.sessionHalf])
const whileRenewing: ReadonlySet<string> = new Set<string>([
  ...whileHeld,
  paths.unlocks,
  paths.unlocksStart,
  paths.loginStart,
  paths.loginFinish,
  paths.loginAbandon,
  paths.recoverStart,
  paths.recoverFinish,
  paths.keyring,
])

export type Hold = "unconfirmed" | "renewing" | null

export interface CallOptions<Reply extends z.ZodType> {
  readonly query?: Readonly<Record<string, string | number>>
  /** Encoded by the caller's schema: plain JSON. */
  readonly json?: unknown
  readonly bytes?: Uint8Array
  readonly reply?: Reply
  /** Nobody's hand caused it: does not keep the session alive. */
  readonly background?: boolean
}

/** Speaks the protocol: JSON out and in, refusals back as the AppError that the server threw. */
export class Transport {
  readonly #send: Send
  readonly #open: OpenStream | null
  #closed = false
  bearer: string | null = null
  /** What keeps this physician from writing; see {@link Hold}. */
  hold: Hold = null
  /** The page's secret, which goes with every request of a browser's session. */
  page: string | null = null
  /** Goes with every request, so that the server refuses one that another tab's cookie would carry into another account. */
  session: SessionId | null = null

  /** @param open left out where nobody listens to events. */
  constructor(send: Send, open: OpenStream | null = null) {
    this.#send = send
    this.#open = open
  }

  /** A fresh one on the same connection, for the next session. */
  another(): Transport {
    return new Transport(this.#send, this.#open)
  }

  /** Nothing is sent any more: what still runs for a session that has ended fails before it reaches the server. */
  close(): void {
    this.#closed = true
  }

  async call<Reply extends z.ZodType>(
    method: HttpRequest["method"],
    path: string,
    options: CallOptions<Reply> = {},
  ): Promise<z.output<Reply>> {
    const response = await this.#request(method, path, options)
    if (options.reply === undefined) return undefined as z.output<Reply>
    const parsed = options.reply.safeDecode(json(response.body) as z.input<Reply>)
    if (!parsed.success)
      throw new AppError("UNAVAILABLE", "The server's answer was not understood. Update this program.")
    return parsed.data
  }

  /** Fetches raw bytes, so many at most. */
  async download(path: string, mostBytes: number): Promise<Uint8Array> {
    return (await this.#request("GET", path, {}, mostBytes)).body
  }

  /** Reads an answer piece by piece. It does not keep the session alive. */
  async *stream(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (this.#closed || this.#open === null) throw new AppError("NOT_ALLOWED_SESSION")
    const headers = { ...this.#headers(), accept: "text/event-stream", [backgroundHeader]: "1" }
    const { status, chunks } = await this.#open({ method: "GET", path, headers }, signal)
    if (status === 200) return yield* chunks
    const parts: Uint8Array[] = []
    let bytes = 0
    for await (const chunk of chunks) {
      bytes += chunk.length
      if (bytes > answerBytes) throw new AppError("UNAVAILABLE")
      parts.push(chunk)
    }
    throw refused({ status, body: concatAll(parts) })
  }

  #headers(): Record<string, string> {
    const headers: Record<string, string> = { accept: "application/json", [protocolHeader]: protocolVersion }
    if (this.session !== null) headers[sessionHeader] = this.session
    if (this.page !== null) headers[pageHeader] = this.page
    if (this.bearer !== null) headers.authorization = `Bearer ${this.bearer}`
    return headers
  }

  /** @throws NOT_ALLOWED_RESTORED, NOT_ALLOWED_RENEW */
  #demandFree(method: HttpRequest["method"], path: string): void {
    if (method === "GET" || this.hold === null) return
    if (this.hold === "unconfirmed" && !whileHeld.has(path)) throw new AppError("NOT_ALLOWED_RESTORED")
    if (this.hold === "renewing" && !whileRenewing.has(path)) throw new AppError("NOT_ALLOWED_RENEW")
  }

  async #request(
    method: HttpRequest["method"],
    path: string,
    options: CallOptions<z.ZodType>,
    mostBytes = answerBytes,
  ): Promise<HttpResponse> {
    if (this.#closed) throw new AppError("NOT_ALLOWED_SESSION")
    this.#demandFree(method, path)
    const headers = this.#headers()
    if (options.background) headers[backgroundHeader] = "1"
    if (options.json !== undefined) headers["content-type"] = "application/json"
    else if (options.bytes !== undefined) headers["content-type"] = "application/octet-stream"
    const body = options.json === undefined ? options.bytes : utf8(JSON.stringify(options.json))
    const query = Object.entries(options.query ?? {}).map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    const response = await this.#send({
      method,
      path: query.length > 0 ? `${path}?${query.join("&")}` : path,
      headers,
      mostBytes,
      ...(body === undefined ? {} : { body }),
    })
    if (response.status >= 200 && response.status < 300) return response
    throw refused(response)
  }
}

/** A browser's way to send. @param baseUrl such as https://practice.example:5000, or "" for the page's own. */
export function fetchSend(baseUrl: string, fetchIt: typeof fetch): Send {
  return async ({ method, path, headers, body, mostBytes = answerBytes }) => {
    try {
      const response = await fetchIt(baseUrl + path, {
        method,
        headers,
        credentials: "same-origin",
        cache: "no-store",
        redirect: "error",
        signal: AbortSignal.timeout(answerMs),
        ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
      })
      const chunks: Uint8Array[] = []
      let bytes = 0
      for await (const chunk of chunksOf(response)) {
        bytes += chunk.length
        if (bytes > mostBytes) throw new Error("too much")
        chunks.push(chunk)
      }
      return { status: response.status, body: concatAll(chunks), readOnly: response.headers.has(readOnlyHeader) }
    } catch (cause) {
      throw new AppError("UNAVAILABLE_SERVER", undefined, { cause })
    }
  }
}

/** The same way to send, which tells whether an answer came, and whether the server can store anything. */
export function noting(send: Send, note: (reached: boolean, readOnly: boolean) => void): Send {
  return async (request) => {
    try {
      const response = await send(request)
      // What is in front of a server that is away answers with 502 or the like.
      if (response.status < 500) note(true, response.readOnly === true)
      else if (response.readOnly) note(true, true)
      return response
    } catch (error) {
      note(false, false)
      throw error
    }
  }
}

/** A browser's way to listen. */
export function fetchStream(baseUrl: string, fetchIt: typeof fetch): OpenStream {
  return async ({ path, headers }, signal) => {
    try {
      const response = await fetchIt(baseUrl + path, {
        headers,
        credentials: "same-origin",
        cache: "no-store",
        redirect: "error",
        signal,
      })
      return { status: response.status, chunks: chunksOf(response) }
    } catch (cause) {
      throw new AppError("UNAVAILABLE_SERVER", undefined, { cause })
    }
  }
}

async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader()
  if (reader === undefined) return
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } catch (cause) {
    throw new AppError("UNAVAILABLE_SERVER", undefined, { cause })
  } finally {
    reader.cancel().catch(() => {})
  }
}

/** The server names a code; the words for it are this program's own, so that no server can put words before a physician. */
function refused(response: HttpResponse): AppError {
  const parsed = refusal.safeParse(json(response.body))
  if (!parsed.success || !isErrorCode(parsed.data.code)) return new AppError("UNAVAILABLE")
  const error = new AppError(parsed.data.code)
  // A server has no say in what a client calls tampered.
  return error.is("TAMPERED") ? new AppError("UNAVAILABLE") : error
}

function json(body: Uint8Array): unknown {
  try {
    return isSmallJson(body, answerNodes, answerDepth) ? JSON.parse(parseUtf8(body)) : undefined
  } catch {
    return undefined
  }
}

/** Sends the very same bytes again when no answer came: the server answers a repeat as it answered the first. */
export async function resend<T>(send: () => Promise<T>): Promise<T> {
  const began = performance.now()
  try {
    return await send()
  } catch (error) {
    const lost = error instanceof AppError && error.code === "UNAVAILABLE_SERVER"
    if (!lost || performance.now() - began > resendWithinMs) throw error
    return send()
  }
}
