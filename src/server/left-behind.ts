import type { FastifyInstance } from "fastify"

/** Ends itself, and has the pages that it answered for loaded anew. It touches nothing that the browser keeps. */
const lastWorker = `addEventListener("install", () => skipWaiting())
addEventListener("activate", (event) => event.waitUntil(leave()))
async function leave() {
  await registration.unregister()
  for (const client of await clients.matchAll({ type: "window" })) client.navigate(client.url).catch(() => {})
}
`

/** This product has no service worker. A browser that asks for one's script has it from another program, which stood at this address before
 * and may answer there for ever: it is given one that ends itself, whatever the address. Not `Clear-Site-Data`: what would end workers
 * also deletes the entries that this device alone has. Source: w3.org/TR/service-workers, "Update". */
export function endForeignWorkers(app: FastifyInstance): void {
  app.addHook("onRequest", async ({ method, headers }, reply) => {
    if (method !== "GET" || headers["service-worker"] !== "script") return
    return reply
      .header("cache-control", "no-store")
      .header("service-worker-allowed", "/")
      .type("text/javascript; charset=utf-8")
      .send(lastWorker)
  })
}
