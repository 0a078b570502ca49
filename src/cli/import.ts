import { readFile, stat } from "node:fs/promises"
import { basename } from "node:path"
import { importFile, maxImportBytes } from "../client/imports.ts"
import type { ImportReport } from "../client/views.ts"
import type { RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { toWrite } from "./client.ts"
import type { CliCommand } from "./command.ts"

export const importCommand: CliCommand = {
  name: "import",
  summary: "Import FHIR R4 bundles, one record a patient; each file is checked whole before any of it is stored",
  arguments: "<file...>",
  options: [
    {
      flags: "--new",
      description: "Put nothing into a record that is there, such as one that is full: only into those that this makes",
    },
  ],
  run: (io, options, files) =>
    toWrite(io, async (work) => {
      const made: RecordId[] = []
      const signal = { aborted: false }
      const stop = () => {
        signal.aborted = true
      }
      process.once("SIGINT", stop)
      let refused = 0
      try {
        for (const [i, file] of files.entries()) {
          const bar = await io.err.bar(files.length > 1 ? `${i + 1}/${files.length} ` : "", "resources")
          const report = await readBytes(file).then(
            (bytes) => importFile(work, basename(file), bytes, bar.tick, signal, options.new === true ? made : null),
            (error: AppError) => failed(file, error),
          )
          bar.stop()
          made.push(...report.records.map(({ id }) => id))
          if (report.outcome === "refused") refused++
          await (report.outcome === "refused" ? io.err : io.out).line(describe(file, report))
          if (report.outcome === "cancelled") return 1
        }
      } finally {
        process.removeListener("SIGINT", stop)
      }
      return refused > 0 ? 1 : 0
    }),
}

/** One line a file: what was taken, and what was not. */
function describe(file: string, report: ImportReport): string {
  const ids = report.records.map(({ id }) => id).join(" ")
  const kept = report.notUnderstood.map(({ type, count }) => `${count} ${type}`).join(", ")
  const also = [
    report.apart > 0 && `${plural(report.apart, "patient")} kept apart from a record with the same patient number`,
    report.leftOut > 0 && `${plural(report.leftOut, "resource")} of no patient left out`,
    kept !== "" && `kept but not understood: ${kept}`,
  ]
    .map((part) => part && `; ${part}`)
    .filter(Boolean)
    .join("")
  switch (report.outcome) {
    case "added":
      return `${file}: added ${plural(report.records.length, "record")} with ${plural(report.added, "resource")}${also}  ${ids}`
    case "merged":
      return `${file}: ${report.added} added, ${report.changed} changed of ${plural(report.resources, "resource")}${also}  ${ids}`
    case "nothing-new":
      return `${file}: nothing new  ${ids}`
    case "cancelled":
      return report.records.length === 0
        ? `${file}: stopped; nothing of it was taken`
        : `${file}: stopped; ${plural(report.records.length, "record")} taken. Import the file again to go on  ${ids}`
    case "refused":
      return `${file}: refused. ${report.message}${ids === "" ? "" : ` Stored before that: ${ids}`}`
  }
}

async function readBytes(file: string): Promise<Uint8Array> {
  try {
    if ((await stat(file)).size > maxImportBytes) throw new AppError("BAD_INPUT_SIZE")
    return new Uint8Array(await readFile(file))
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError("BAD_INPUT_FORMAT", "The file cannot be read. Check its path and its permissions.", {
      cause: error,
    })
  }
}

function failed(file: string, error: AppError): ImportReport {
  if (!(error instanceof AppError) || !error.is("BAD_INPUT")) throw error
  const nothing = { records: [], resources: 0, added: 0, changed: 0, apart: 0, leftOut: 0, notUnderstood: [] }
  return { file, outcome: "refused", ...nothing, code: error.code, message: error.message }
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`
}
