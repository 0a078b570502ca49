import type { PracticeReply } from "../../protocol/accounts.ts"
import { practice } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import type { AppDeps } from "../deps.ts"
import type { Api } from "./context.ts"

/** Who this server is: for everybody. */
export function practiceRoutes(app: Api, about: PracticeReply, newestBackup: AppDeps["newestBackup"]): void {
  app.get(paths.practice, { schema: { response: { 200: practice.reply } } }, async () => {
    const backup = (await newestBackup?.()) ?? null
    return { ...about, ...(backup !== null && { backup }) }
  })
}
