import type { z } from "zod"
import { parseUtf8, utf8 } from "../encoding/bytes.ts"
import { AppError, isErrorCode } from "../errors.ts"
import { backgroundHeader } from "../protocol/paths.ts"
import { refusal } from "../protocol/records.ts"

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

export interface HttpResponse {
  readonly status: number
  readonly body: Uint8Array
}

/** Sends one request. @throws UNAVAILABLE_SERVER when no answer comes */
export type Send = (request: HttpRequest) => Promise<HttpResponse>

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
  bearer: string | null = null

  constructor(send: Send) {
    this.#send = send
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

  /** Fetches raw bytes. */
  async download(path: string): Promise<Uint8Array> {
    return (await this.#request("GET", path, {})).body
  }

  async #request(method: HttpRequest["method"], path: string, options: CallOptions<z.ZodType>): Promise<HttpResponse> {
    const headers: Record<string, string> = { accept: "application/json" }
    if (this.bearer !== null) headers.authorization = `Bearer ${this.bearer}`
    if (options.background) headers[backgroundHeader] = "1"
    if (options.json !== undefined) headers["content-type"] = "application/json"
    else if (options.bytes !== undefined) headers["content-type"] = "application/octet-stream"
    const body = options.json === undefined ? options.bytes : utf8(JSON.stringify(options.json))
    const query = Object.entries(options.query ?? {}).map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    const response = await this.#send({
      method,
      path: query.length > 0 ? `${path}?${query.join("&")}` : path,
      headers,
      ...(body === undefined ? {} : { body }),
    })
    if (response.status >= 200 && response.status < 300) return response
    throw refused(response)
  }
}

/** A browser's way to send. @param baseUrl such as https://practice.example:5000, or "" for the page's own. */
export function fetchSend(baseUrl: string, fetchIt: typeof fetch): Send {
  return async ({ method, path, headers, body }) => {
    try {
      const response = await fetchIt(baseUrl + path, {
        method,
        headers,
        credentials: "same-origin",
        cache: "no-store",
        redirect: "error",
        ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
      })
      return { status: response.status, body: new Uint8Array(await response.arrayBuffer()) }
    } catch (cause) {
      throw new AppError("UNAVAILABLE_SERVER", undefined, { cause })
    }
  }
}

function refused(response: HttpResponse): AppError {
  const parsed = refusal.safeParse(json(response.body))
  if (!parsed.success || !isErrorCode(parsed.data.code)) return new AppError("UNAVAILABLE")
  const { code, message, fields } = parsed.data
  // A server has no say in what a client calls tampered.
  if (code.startsWith("TAMPERED")) return new AppError("UNAVAILABLE")
  return new AppError(code, message, fields === undefined ? {} : { fields })
}

function json(body: Uint8Array): unknown {
  try {
    return JSON.parse(parseUtf8(body))
  } catch {
    return undefined
  }
}
