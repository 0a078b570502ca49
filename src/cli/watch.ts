import { listen } from "../client/events.ts"
import type { RecordId } from "../client/ids.ts"
import { history, namedIn } from "../client/record-views.ts"
import { errorOf } from "../client/roster.ts"
import type { Workspace } from "../client/workspace.ts"
import { AppError } from "../errors.ts"
import { withWorkspace } from "./client.ts"
import type { CliCommand } from "./command.ts"
import { clean, printLine } from "./print.ts"

const pollMs = 10_000

/** Prints every change of the physician's records as it comes, until it is interrupted. */
export const watch: CliCommand = {
  name: "records watch",
  summary: "Print changes as they come, until you stop it with Ctrl+C",
  options: [{ flags: "--json", description: "Print one JSON object a line" }],
  run: (io, options) =>
    withWorkspace(io, async (work) => {
      const stop = new AbortController()
      const stopped = new Promise<void>((resolve) => {
        const end = () => {
          stop.abort()
          resolve()
        }
        process.once("SIGINT", end)
        process.once("SIGTERM", end)
      })
      const seen = new Map<RecordId, number>(Array.from(work.roster.rows.values(), (row) => [row.id, row.seq]))
      let failed: unknown = null
      let turn: Promise<void> = Promise.resolve()
      const look = () => {
        turn = turn
          .then(async () => {
            if (stop.signal.aborted) return
            const changed = await work.roster.sync(true)
            await work.roster.looked()
            for (const id of changed)
              for (const line of await news(work, id, seen))
                await printLine(io.stdout, options.json ? JSON.stringify(line) : asText(line))
            await work.session.remember()
          })
          .catch((error: unknown) => {
            // A server that is away for a while is waited for; anything else ends this.
            if (error instanceof AppError && error.code === "UNAVAILABLE_SERVER") return
            failed = error
            stop.abort()
          })
      }
      const timer = setInterval(look, pollMs)
      await printLine(io.stderr, "Watching. Stop with Ctrl+C.")
      const ears = listen(work.session.around.transport, look, stop.signal)
      await Promise.race([stopped, ears])
      clearInterval(timer)
      stop.abort()
      await turn
      if (failed !== null) throw failed
      return 0
    }),
}

interface News {
  readonly record: RecordId
  readonly seq: number | null
  readonly time: string | null
  readonly author: string
  readonly patient: string
  readonly what: readonly string[]
}

/** What is new in one record, oldest first. */
async function news(work: Workspace, id: RecordId, seen: Map<RecordId, number>): Promise<News[]> {
  const refusal = work.roster.refused.get(id)
  if (refusal !== undefined) throw errorOf(refusal)
  const row = work.roster.rows.get(id)
  const before = seen.get(id) ?? -1
  if (row === undefined) {
    seen.delete(id)
    return [
      { record: id, seq: null, time: null, author: "", patient: "", what: ["You can no longer read this record"] },
    ]
  }
  seen.set(id, row.seq)
  const patient = [row.firstName, row.lastName].filter((part) => part !== "").join(" ")
  await work.session.people.meet(namedIn(await work.records.open(id)))
  return (await history(work, id))
    .filter(({ seq }) => seq > before)
    .reverse()
    .map(({ seq, time, author, changes, resources, archived, note, sharing }) => ({
      record: id,
      seq,
      time: new Date(time).toISOString(),
      author,
      patient,
      what: [
        ...changes.map(({ label, before: old, after }) => `${label}: ${old || "(nothing)"} → ${after || "(nothing)"}`),
        ...Object.entries(resources).flatMap(([how, count]) =>
          count === 0 ? [] : [`${count} other resources ${how}`],
        ),
        ...(archived === null ? [] : [archived ? "Archived" : "Brought back"]),
        ...(note === "" ? [] : [note]),
        ...sharing,
      ],
    }))
}

function asText({ time, author, patient, record, what }: News): string {
  const head = [time?.replace("T", " ").slice(0, 19), author, patient, record].filter(Boolean).join("  ")
  return [head, ...what.map((line) => `    ${line}`)].map(clean).join("\n")
}
