import type { PracticeReply } from "../../protocol/accounts.ts"
import { practice } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import type { Api } from "./context.ts"

/** Who this server is: for everybody. */
export function practiceRoutes(app: Api, about: PracticeReply, backup: () => Promise<number>): void {
  app.get(paths.practice, { schema: { response: { 200: practice.reply } } }, async () => ({
    ...about,
    backup: await backup(),
  }))
}
