import { viewCheckpoint } from "../client/log-checkpoint.ts"
import { rememberLog } from "../client/log-target.ts"
import { AppError } from "../errors.ts"
import type { CliCommand } from "./command.ts"
import { expectLog, givenLog, logOptions, mistyped, withPublicLog } from "./log-address.ts"
import { printFinding } from "./log-finding.ts"
import { print, printJson, printLine } from "./print.ts"

const because = {
  given: "the key that you named",
  remembered: "the key that this machine remembers",
  "first contact": "the key that the server names, which nobody has compared",
} as const

export const logCheckpoint: CliCommand = {
  name: "log checkpoint",
  summary: "Print the log's newest checkpoint, once its signature is verified",
  options: [...logOptions, { flags: "--json", description: "as JSON" }],
  run(io, options) {
    const given = givenLog(options)
    return withPublicLog(io, async (log) => {
      const target = await expectLog(io, log, given)
      try {
        const view = await viewCheckpoint(log.send, log.storage, target)
        await rememberLog(log.storage, log.address, target.log)
        if (options.json === true) {
          await printJson(io.stdout, view)
          return 0
        }
        await print(io.stdout, view.note)
        await printLine(io.stderr, `Signed by ${because[target.trust]}.${told(view.remembered, view.size)}`)
        return 0
      } catch (error) {
        if (target.typed && error instanceof AppError && error.is("TAMPERED")) await printLine(io.stderr, mistyped)
        return printFinding(io, error, null)
      }
    })
  },
}

function told(remembered: number | null, size: number): string {
  if (remembered === null) return ""
  return ` It contains the ${remembered} leaves that this machine remembers${size === remembered ? "" : `, and ${size - remembered} more`}.`
}
