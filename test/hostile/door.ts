import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http"
import type { HttpRequest, HttpResponse, Send } from "../../src/client/transport.ts"
import type { Between } from "../practice.ts"
import { collect, type HttpProxy, startProxy } from "../proxy.ts"

/** An HTTP proxy at an address of its own, which stays while what stands behind it changes. */
export interface Door extends HttpProxy {
  /** How many answers, or requests, are other ones since {@link open}: an attack that changes nothing shows nothing. */
  readonly struck: number
  /** What went wrong in an attack itself. */
  readonly faults: readonly unknown[]
  /** @param server where everything goes. @param between may change what is asked of the API and of the log, and what is answered
   * @param byItsName whether the server is asked by its own address, where it answers to no other, or by the one that the client meant */
  open(server: string, between: Between | null, byItsName?: boolean): void
}

/** An empty page of the proxy's own: a browser is on the practice's address there, and nothing of Healthcrypt runs. */
export const blank = "/blank"

type Headers = IncomingMessage["headers"]

export async function openDoor(): Promise<Door> {
  let behind: { readonly server: string; readonly between: Between | null; readonly byItsName: boolean } | null = null
  let struck = 0
  let faults: unknown[] = []

  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const path = incoming.url ?? "/"
    if (path === blank) {
      outgoing.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>-</title>")
      return
    }
    if (behind === null) throw new Error("nothing behind this door")
    const { server, between, byItsName } = behind
    if (byItsName) delete incoming.headers.host
    if (between === null || !/^\/(api|log)\//.test(path) || path === "/api/events")
      return pass(server, incoming, outgoing)
    const { "accept-encoding": _, ...headers } = incoming.headers
    const body = await collect(incoming)
    const asked: HttpRequest = {
      method: incoming.method as HttpRequest["method"],
      path,
      headers: headers as Record<string, string>,
      ...(body.length === 0 ? {} : { body: new Uint8Array(body) }),
    }
    let newest: Headers = { "content-type": "application/json" }
    const honest: { readonly request: HttpRequest; readonly body: Buffer }[] = []
    const send: Send = async (request) => {
      const response = await forward(server, request)
      newest = response.headers
      honest.push({ request, body: response.body })
      return { status: response.status, body: new Uint8Array(response.body) }
    }
    let given: HttpResponse
    try {
      given = await between(asked, send)
    } catch (error) {
      faults.push(error)
      throw error
    }
    const [only] = honest
    if (honest.length !== 1 || only!.request !== asked || Buffer.compare(only!.body, given.body) !== 0) struck++
    const { "content-length": __, "transfer-encoding": ___, ...kept } = newest
    outgoing.writeHead(given.status, { ...kept, "content-length": given.body.length })
    outgoing.end(given.body)
  }

  const { url, close } = await startProxy(answer)
  return {
    url,
    get struck() {
      return struck
    },
    get faults() {
      return faults
    },
    open(where, between, byItsName = false) {
      behind = { server: where, between, byItsName }
      struck = 0
      faults = []
    },
    close,
  }
}

/** The browser's own Host goes along, so that the server sees the address that the browser means. */
function forward(server: string, { method, path, headers, body }: HttpRequest) {
  return new Promise<{ status: number; headers: Headers; body: Buffer }>((resolve, reject) => {
    const { "content-length": _, ...rest } = headers
    const length = body === undefined ? {} : { "content-length": String(body.length) }
    const sent = httpRequest(new URL(path, server), { method, headers: { ...rest, ...length } }, (response) => {
      collect(response).then(
        (bytes) => resolve({ status: response.statusCode ?? 502, headers: response.headers, body: bytes }),
        reject,
      )
    })
    sent.on("error", reject)
    sent.end(body)
  })
}

/** As it comes, piece by piece. */
function pass(server: string, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { method, headers, url = "/" } = incoming
  const sent = httpRequest(new URL(url, server), { method, headers }, (response) => {
    outgoing.writeHead(response.statusCode ?? 502, response.headers)
    response.on("error", () => outgoing.destroy())
    response.pipe(outgoing)
  })
  sent.on("error", () => outgoing.destroy())
  outgoing.on("close", () => sent.destroy())
  incoming.pipe(sent)
}
