import { entryToken } from "../client/entry-token.ts"
import { ask } from "./ask.ts"
import { withWorkspace } from "./client.ts"
import type { CliCommand } from "./command.ts"
import { counting, recordIdFrom, wholeNumber } from "./ids.ts"

export const token: CliCommand = {
  name: "token",
  summary: "Print one entry's Fernet token and the key that opens it",
  arguments: "<id>",
  options: [
    { flags: "--seq <n>", description: `Which entry, the latest if left out: ${counting}` },
    { flags: "--yes", description: "I know that whoever sees the key can read this entry" },
  ],
  async run(io, options, args) {
    const id = recordIdFrom(args)
    const seq = wholeNumber(options.seq, "--seq")
    if (options.yes !== true && !(await agreed(io))) {
      await io.err.line("Whoever sees the key can read this entry. Say --yes if that is what you want.")
      return 1
    }
    return withWorkspace(io, async (work) => {
      const record = await work.records.open(id)
      const latest = record.steps.findLast((step) => step.entry.body !== undefined)?.entry.seq ?? record.head.seq
      const shown = await entryToken(work.records, record, seq ?? latest)
      await io.out.whole(`key ${shown.key}`)
      await io.out.whole(`token ${shown.token}`)
      return 0
    })
  },
}

async function agreed(io: Parameters<CliCommand["run"]>[0]): Promise<boolean> {
  if (!io.isTerminal) return false
  return (await ask(io, "Whoever sees the key can read this entry. Type yes to go on")).trim().toLowerCase() === "yes"
}
