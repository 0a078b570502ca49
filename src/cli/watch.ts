import { listen } from "../client/events.ts"
import type { RecordId } from "../client/ids.ts"
import { history, namedIn } from "../client/record-views.ts"
import { errorOf } from "../client/roster.ts"
import type { RosterRow } from "../client/roster-row.ts"
import { endsAll } from "../client/sharing.ts"
import type { Workspace } from "../client/workspace.ts"
import { AppError } from "../errors.ts"
import { withWorkspace } from "./client.ts"
import type { CliCommand } from "./command.ts"
import { counting } from "./ids.ts"
import { bothMoments, momentOf } from "./times.ts"

const pollMs = 10_000

/** Prints every change of the physician's records as it comes, until it is interrupted. */
export const watch: CliCommand = {
  name: "records watch",
  summary: "Print changes as they come, until you stop it with Ctrl+C; for 12 hours at most",
  options: [{ flags: "--json", description: `Print one JSON object a line; of seq, ${counting}` }],
  run: (io, options) =>
    withWorkspace(io, async (work) => {
      const stop = new AbortController()
      let asked = false
      const end = () => {
        asked = true
        stop.abort()
      }
      process.once("SIGINT", end)
      process.once("SIGTERM", end)
      let quiet = false
      /** What changed and was not printed yet: the server may go away in between. */
      const waiting = new Set<RecordId>()
      const seen: Seen = new Map(
        Array.from(work.roster.rows.values(), (row) => [row.id, { seq: row.seq, patient: patientOf(row) }]),
      )
      /** What is refused of single records, as it was printed last. The others go on. */
      const refused = new Map<RecordId, string>()
      let code = 0
      let failed: unknown = null
      let turn: Promise<void> = Promise.resolve()
      const look = () => {
        turn = turn
          .then(async () => {
            if (stop.signal.aborted) return
            // Not in the background: whoever watches is there, and the session goes on for its 12 hours.
            for (const id of await work.roster.sync()) waiting.add(id)
            await work.roster.looked()
            for (const id of waiting) {
              try {
                for (const line of await news(work, id, seen))
                  await (options.json ? io.out.jsonLine(plainNews(line)) : io.out.lines(asText(line)))
                // Nobody is there to be told of more.
                if (io.out.failure !== null) end()
                refused.delete(id)
              } catch (error) {
                if (!(error instanceof AppError) || endsAll(work, error)) throw error
                const said = `${id}: ${error.code}. ${error.message}`
                if (refused.get(id) !== said) await io.err.line(`${momentOf(Date.now())} ${said}`)
                refused.set(id, said)
                if (error.is("TAMPERED")) code = 3
                else code = Math.max(code, 1)
              }
              waiting.delete(id)
            }
            await work.session.remember()
            if (quiet) await io.err.line(`${momentOf(Date.now())} The server answers again.`)
            quiet = false
          })
          .catch(async (error: unknown) => {
            // A server that is away for a while, or not itself yet, is waited for; anything else ends this.
            if (error instanceof AppError && error.is("UNAVAILABLE")) {
              if (!quiet) await io.err.line(`${momentOf(Date.now())} ${error.message} Trying on.`)
              quiet = true
              return
            }
            failed = error
            stop.abort()
          })
      }
      const timer = setInterval(look, pollMs)
      await io.err.line("Watching. Stop with Ctrl+C.")
      await listen(work.session.around.transport, look, stop.signal)
      clearInterval(timer)
      stop.abort()
      await turn
      if (failed !== null) throw failed
      // Nobody listens any more, and nobody asked for that: the session has ended.
      if (!asked) throw new AppError("NOT_ALLOWED_SESSION")
      return code
    }),
}

/** What was printed of each record last, and of whom it is: of one that goes, nothing more can be read. */
type Seen = Map<RecordId, { readonly seq: number; readonly patient: string }>

interface News {
  readonly record: RecordId
  readonly seq: number | null
  /** The author's word, and the server's: `null` where the record is gone, and the time is when that was seen here. */
  readonly times: { readonly time: number; readonly serverTime: number | null }
  readonly author: string
  readonly patient: string
  readonly what: readonly string[]
}

/** What is new in one record, oldest first. */
async function news(work: Workspace, id: RecordId, seen: Seen): Promise<News[]> {
  const refusal = work.roster.refused.get(id)
  if (refusal !== undefined) throw errorOf(refusal)
  const row = work.roster.rows.get(id)
  const before = seen.get(id) ?? { seq: -1, patient: "" }
  if (row === undefined) {
    seen.delete(id)
    const times = { time: Date.now(), serverTime: null }
    const what = ["You can no longer read this record"]
    return [{ record: id, seq: null, times, author: "", patient: before.patient, what }]
  }
  const patient = patientOf(row)
  await work.session.people.meet(namedIn(await work.records.open(id)))
  const items = await history(work, id)
  seen.set(id, { seq: row.seq, patient })
  return items
    .filter(({ seq }) => seq > before.seq)
    .reverse()
    .map(({ seq, time, serverTime, author, changes, resources, archived, note, sharing }) => ({
      record: id,
      seq,
      times: { time, serverTime },
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

function patientOf({ firstName, lastName }: RosterRow): string {
  return [firstName, lastName].filter((part) => part !== "").join(" ")
}

function plainNews({ record, seq, times, ...rest }: News) {
  const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString())
  return { record, seq, time: iso(times.time), serverTime: iso(times.serverTime), ...rest }
}

function asText({ times, author, patient, record, what }: News): string[] {
  const { time, serverTime } = times
  const when = serverTime === null ? momentOf(time) : bothMoments({ time, serverTime })
  const head = [when, author, patient, record].filter(Boolean).join("  ")
  return [head, ...what.map((line) => `    ${line}`)]
}
