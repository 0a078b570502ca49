import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http"
import { collect, type HttpProxy, startProxy } from "./proxy.ts"

/** What a relay may change of an answer, or wait for before a request goes on. */
export interface Meddling {
  /** Called before a request is passed on; what it waits for, the request waits for. */
  readonly before?: (call: Call) => Promise<void> | void
  /** @returns the body to answer with instead */
  readonly after?: (call: Call, body: Buffer) => Buffer
}

export interface Call {
  readonly method: string
  /** Path and query. */
  readonly path: string
}

/** An HTTP server that passes everything on to a real one, and meddles. */
export async function startRelay(serverUrl: string, { before, after }: Meddling): Promise<HttpProxy> {
  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const call = { method: incoming.method ?? "", path: incoming.url ?? "" }
    const sent = await collect(incoming)
    await before?.(call)
    const { host: _, ...headers } = incoming.headers
    const passed = httpRequest(new URL(call.path, serverUrl), { method: call.method, headers })
    passed.on("response", async (response) => {
      const body = await collect(response)
      const changed = after?.(call, body) ?? body
      const { "content-length": __, "transfer-encoding": ___, ...kept } = response.headers
      outgoing.writeHead(response.statusCode ?? 500, { ...kept, "content-length": changed.length })
      outgoing.end(changed)
    })
    passed.on("error", () => outgoing.destroy())
    passed.end(sent)
  }
  return startProxy(answer)
}

/** An `after` that changes the JSON of the answers to one kind of call. */
export function changing<Body>(matches: (call: Call) => boolean, change: (body: Body) => unknown): Meddling {
  return {
    after: (call, body) => {
      if (!matches(call)) return body
      const value = JSON.parse(body.toString("utf8")) as Body
      return Buffer.from(JSON.stringify(change(value) ?? value))
    },
  }
}
