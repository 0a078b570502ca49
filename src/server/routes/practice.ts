import type { PracticeReply } from "../../protocol/accounts.ts"
import { practice } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import type { Api, RouteContext } from "./context.ts"

/** Who this server is, and the log's newest checkpoint: for everybody. */
export function practiceRoutes(app: Api, { store }: RouteContext, about: PracticeReply): void {
  app.get(paths.practice, { schema: { response: { 200: practice.reply } } }, async () => about)

  app.get(paths.checkpoint, async (_, reply) =>
    reply.type("text/plain; charset=utf-8").header("cache-control", "no-store").send(store.treeHead().note),
  )
}
