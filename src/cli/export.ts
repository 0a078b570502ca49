import { lstat, open, rename, rm, stat } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { exportBundle, exportParts, partName } from "../clinical/export.ts"
import { AppError } from "../errors.ts"
import { UsageError } from "./ask.ts"
import { withWorkspace } from "./client.ts"
import type { CliCommand } from "./command.ts"
import { recordIdFrom } from "./ids.ts"

export const exportCommand: CliCommand = {
  name: "export",
  summary: "Write one record as a FHIR bundle, a large one as several: plain text, readable by whoever gets the files",
  arguments: "<id>",
  options: [
    {
      flags: "-o, --output <file>",
      description: "Where to write it, further files with -2, -3 … in their names; - for standard output",
    },
    { flags: "--force", description: "Replace a file that is there" },
  ],
  async run(io, options, args) {
    const output = options.output
    if (typeof output !== "string" || output === "") throw new UsageError("Say where to write it: -o FILE.")
    const id = recordIdFrom(args)
    const replace = options.force === true
    if (output !== "-") await demandFolder(output)
    if (output !== "-") await demandFree(output, replace)
    return withWorkspace(io, async (work) => {
      const record = await work.records.open(id)
      const parts = await exportParts(record.chart)
      if (output === "-") {
        if (parts.length > 1) throw tooLong(parts.length)
        await work.records.act(id, "export")
        await io.out.jsonText(exportBundle(record.chart))
        await io.out.demandWritten("The export is not whole.")
        return 0
      }
      const files = parts.map((_, at) => partName(output, at))
      for (const file of files) await demandFree(file, replace)
      await work.records.act(id, "export")
      for (const [at, keys] of parts.entries()) {
        await writePrivately(files[at]!, exportBundle(record.chart, keys), replace)
        await io.err.line(`${files[at]} is not encrypted. Delete it when it is no longer needed.`)
      }
      if (files.length > 1)
        await io.err.line(
          `This record is larger than one file may be, and is in these ${files.length} files. Import all of them, in this order.`,
        )
      return 0
    })
  },
}

/** Whole or not at all, readable by its owner alone. @throws NOT_ALLOWED where something is there that is not to be replaced */
export async function writePrivately(file: string, text: string, replace: boolean): Promise<void> {
  const temporary = `${file}.${process.pid}.new`
  await demandFree(file, replace)
  try {
    const handle = await open(temporary, "wx", 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    // Whatever came there meanwhile is not replaced either: the name is taken first.
    if (!replace) await (await open(file, "wx", 0o600)).close()
    await rename(temporary, file)
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {})
    if (!replace && (cause as NodeJS.ErrnoException).code === "EEXIST" && (await isThere(file))) throw taken()
    throw new AppError("UNAVAILABLE", "The file cannot be written. Check the path and the free space.", { cause })
  }
}

function isThere(file: string): Promise<boolean> {
  return lstat(file).then(
    () => true,
    () => false,
  )
}

/** A rename replaces whatever has the name: a device, or somebody's link. */
async function demandFree(file: string, replace: boolean): Promise<void> {
  const found = await lstat(file).catch(() => null)
  if (found === null) return
  if (!replace) throw taken()
  if (!found.isFile())
    throw new AppError(
      "NOT_ALLOWED",
      "What has this name is no ordinary file. Choose another name, or -o - for standard output.",
    )
}

/** The folder's name is not repeated: it may be a patient's. */
async function demandFolder(file: string): Promise<void> {
  const found = await stat(dirname(resolve(file))).catch(() => null)
  if (found?.isDirectory()) return
  throw new AppError(
    "NOT_ALLOWED",
    "There is no folder of that name to write the file into. Make it, or choose another.",
  )
}

function tooLong(files: number): AppError {
  return new AppError(
    "NOT_ALLOWED",
    `This record is larger than one file may be, and needs ${files} files. Name the first with -o FILE.`,
  )
}

/** The file's name is not repeated: it may be a patient's. */
function taken(): AppError {
  return new AppError("NOT_ALLOWED", "There is such a file already. Choose another name, or replace it with --force.")
}
