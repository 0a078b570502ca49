import { viewCheckpoint } from "../client/log-checkpoint.ts"
import { rememberLog } from "../client/log-target.ts"
import { AppError } from "../errors.ts"
import { clean } from "./clean.ts"
import type { CliCommand } from "./command.ts"
import { expectLog, givenLog, logOptions, mistyped, withPublicLog } from "./log-address.ts"
import { printFinding } from "./log-finding.ts"

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
          await io.out.json(view)
          return 0
        }
        for (const line of noteLines(view.note)) await io.out.whole(line)
        await io.err.line(`Signed by ${because[target.trust]}.${told(view.remembered, view.size)}`)
        return 0
      } catch (error) {
        if (target.typed && error instanceof AppError && error.is("TAMPERED")) await io.err.line(mistyped)
        return printFinding(io, error, null)
      }
    })
  },
}

/** The text, whose three lines were verified, and what looks like a signature under it. Whatever else a server puts among these is no part
 * of a note, and nobody needs it; --json has the note as it came. */
function noteLines(note: string): string[] {
  const cut = note.lastIndexOf("\n\n") + 2
  const signatures = note.slice(cut).split("\n")
  const isSignature = (line: string) => /^\u2014 \S+ [A-Za-z0-9+/]+={0,2}$/u.test(line) && line === clean(line)
  return [...note.slice(0, cut - 1).split("\n"), ...signatures.filter(isSignature)]
}

function told(remembered: number | null, size: number): string {
  if (remembered === null) return ""
  return ` It contains the ${remembered} leaves that this machine remembers${size === remembered ? "" : `, and ${size - remembered} more`}.`
}
