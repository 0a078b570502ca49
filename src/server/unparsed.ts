import type { Socket } from "node:net"
import { AppError } from "../errors.ts"

/** Browsers send a host's cookies to each of its ports, up to 180 of 4 KiB: this is room for other programs' usual ones. Nobody's bytes are
 * counted before their request is whole, so it is not room for all. */
export const headerBytes = 64 * 1024

const closeMs = 2_000
const tooLarge =
  "Your browser has too many cookies for this address: other programs on the same machine have set them. Delete the cookies of this address " +
  "in your browser, then load the page again. You sign in again; nothing else is lost.\n"

/** Answers what is no request, or has too much before its body. No hook has run for it, and nothing of it is repeated. */
export function answerUnparsed({ code }: { code?: string }, socket: Socket): void {
  // What still comes after the answer is thrown away: a connection that is closed on it may lose the answer.
  if (socket.writableEnded && code?.startsWith("HPE_")) return
  if (code === "ECONNRESET" || !socket.writable) return void socket.destroy()
  const refusal = new AppError("BAD_INPUT_FORMAT")
  const json = JSON.stringify({ code: refusal.code, message: refusal.message })
  const [status, type, body] =
    code === "HPE_HEADER_OVERFLOW"
      ? ["431 Request Header Fields Too Large", "text/plain", tooLarge]
      : [code === "ERR_HTTP_REQUEST_TIMEOUT" ? "408 Request Timeout" : "400 Bad Request", "application/json", json]
  const lines = [
    `HTTP/1.1 ${status}`,
    `Content-Type: ${type}; charset=utf-8`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Cache-Control: no-store",
    "X-Content-Type-Options: nosniff",
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
    "Connection: close",
  ]
  socket.end(`${lines.join("\r\n")}\r\n\r\n${body}`)
  setTimeout(() => socket.destroy(), closeMs).unref()
}
