import { archiveRecord, createPatient, savePatient } from "../client/edits.ts"
import { HomeList } from "../client/home.ts"
import { history, namedIn, viewRecord } from "../client/record-views.ts"
import type { HistoryItem, HomeRow, RecordView } from "../client/views.ts"
import { todayOf, type Workspace } from "../client/workspace.ts"
import { dayOf } from "../clinical/days.ts"
import { formOf } from "../clinical/form.ts"
import { groupTitle } from "../clinical/view.ts"
import { AppError } from "../errors.ts"
import { fieldsFrom } from "./ask.ts"
import { toWrite, withWorkspace } from "./client.ts"
import type { CliCommand, Io } from "./command.ts"
import { changedWord, counting, entryName, recordIdFrom, wholeNumber } from "./ids.ts"
import { bothMoments } from "./times.ts"

const json = { flags: "--json", description: "Print JSON" }
const questions = { firstName: "First name", lastName: "Last name", birthDate: "Date of birth", diagnosis: "Diagnosis" }
const fieldNames = Object.keys(questions).join(", ")

const list: CliCommand = {
  name: "records list",
  summary: "List your patients, sorted by name",
  options: [json, { flags: "--archived", description: "The archived ones instead" }],
  run: (io, options) =>
    withWorkspace(io, async (work) => {
      const every = { search: "", sort: "name", descending: false, offset: 0, limit: Number.MAX_SAFE_INTEGER } as const
      const query = { ...every, archived: options.archived === true }
      const today = todayOf(work.session)
      const home = new HomeList(work)
      const { rows, refused } = home.page(query, true, today)
      if (options.json) await io.out.json(rows.map(plainRow))
      else if (rows.length > 0) await io.out.table(listHead, rows.map(rowCells))
      else if (query.archived) await io.err.line("No archived records.")
      else if (home.page({ ...query, archived: true }, true, today).total > 0)
        await io.err.line("No records but archived ones: `healthcrypt records list --archived`.")
      else
        await io.err.line(
          "No records. Add one with `healthcrypt records add`, or import FHIR files with `healthcrypt import`.",
        )
      for (const { id, code, message } of refused) await io.err.line(`${id}: ${code}. ${message}`)
      if (refused.some(({ code }) => code.startsWith("TAMPERED"))) return 3
      // A list that is not whole must not pass for one.
      return refused.length > 0 ? 1 : 0
    }),
}

const show: CliCommand = {
  name: "records show",
  summary: "Show one record",
  arguments: "<id>",
  options: [json, { flags: "--seq <n>", description: `As entry n left it: ${counting}` }],
  async run(io, options, args) {
    const id = recordIdFrom(args)
    const seq = wholeNumber(options.seq, "--seq")
    return withWorkspace(io, async (work) => {
      const record = await work.records.open(id)
      await work.records.act(id, "read").catch(() => {})
      await work.session.people.meet(namedIn(record))
      const view = await viewRecord(work, record, seq ?? record.head.seq)
      if (options.json) await io.out.json(plainRecord(view))
      else await io.out.lines(recordAsText(view))
      return 0
    })
  },
}

const add: CliCommand = {
  name: "records add",
  summary: "Add a patient: reads firstName, lastName, birthDate, diagnosis; prints the new id",
  options: [],
  async run(io) {
    const fields = await fieldsFrom(io, questions)
    return withWorkspace(io, async (work) => {
      const saved = await createPatient(work, fields)
      await io.out.line(saved.id)
      return 0
    })
  },
}

const edit: CliCommand = {
  name: "records edit",
  summary: "Edit a patient: reads any of firstName, lastName, birthDate, diagnosis",
  arguments: "<id>",
  options: [
    { flags: "--seq <n>", description: `What you read was entry n (${counting}): what others wrote since is kept` },
  ],
  async run(io, options, args) {
    const id = recordIdFrom(args)
    const seq = wholeNumber(options.seq, "--seq")
    const given = io.isTerminal ? null : await fieldsFrom(io, questions)
    return toWrite(io, async (work) => {
      const record = await work.records.open(id)
      const base = seq ?? record.head.seq
      const form = formOf(record.chart)
      const part = given ?? (await fieldsFrom(io, questions, { ...form }))
      if (Object.keys(part).length === 0)
        throw new AppError("BAD_INPUT_FORMAT", `Nothing to change was given. Give ${fieldNames}, or some of them.`)
      return saveEdit(io, work, id, base, part)
    })
  },
}

const showHistory: CliCommand = {
  name: "records history",
  summary: `Show who changed a record, when, and what. Entries are counted from 0: ${counting}`,
  arguments: "<id>",
  options: [json],
  async run(io, options, args) {
    const id = recordIdFrom(args)
    return withWorkspace(io, async (work) => {
      const items = await history(work, id)
      if (options.json) await io.out.json(items.map(plainItem))
      else {
        await io.out.lines(items.flatMap((item, i) => [...(i === 0 ? [] : [""]), ...itemAsText(item)]))
        await io.err.line(`Entries are counted from 0: ${counting}.`)
      }
      return 0
    })
  },
}

const archive: CliCommand = {
  name: "records archive",
  summary: "Archive a record: it stays, and leaves the list",
  arguments: "<id>",
  options: [{ flags: "--undo", description: "Bring it back" }],
  async run(io, options, args) {
    const id = recordIdFrom(args)
    return toWrite(io, async (work) => {
      const archived = options.undo !== true
      const [done, already] = archived ? ["Archived.", "It is archived"] : ["Brought back.", "It is not archived"]
      await io.err.line((await archiveRecord(work, id, archived)) ? done : `${already}: nothing was stored.`)
      return 0
    })
  },
}

export const records: readonly CliCommand[] = [list, show, add, edit, showHistory, archive]

async function saveEdit(io: Io, work: Workspace, id: HomeRow["id"], base: number, part: Record<string, unknown>) {
  const record = await work.records.open(id)
  const start = base === record.head.seq ? formOf(record.chart) : (await viewRecord(work, record, base)).form
  const saved = await savePatient(work, id, base, { ...start, ...part })
  if (saved.saved) {
    await io.err.line(saved.unchanged ? "Nothing differs: nothing was stored." : "Changed.")
    return 0
  }
  const fields = saved.fields.map((field) => field.label).join(", ")
  await io.err.line(
    `Somebody else changed the same part since: ${fields}. Nothing was changed. Look at the record and edit again.`,
  )
  return 1
}

function plainRow(row: HomeRow) {
  const { id, firstName, lastName, birthDate, diagnoses, updated } = row
  return { id, firstName, lastName, birthDate, diagnoses, updated: dayOf(updated) }
}

function plainRecord(view: RecordView) {
  const { id, seq, firstName, lastName, birthDate, form, diagnoses, updated, ...rest } = view
  return {
    id,
    seq,
    firstName,
    lastName,
    birthDate,
    diagnosis: form.diagnosis,
    diagnoses: diagnoses.map((diagnosis) => diagnosis.text),
    updated: dayOf(updated),
    conditions: diagnoses,
    ...rest,
  }
}

function plainItem(item: HistoryItem) {
  const { time, serverTime, ...rest } = item
  return { ...rest, time: new Date(time).toISOString(), serverTime: new Date(serverTime).toISOString() }
}

const listHead = ["ID", "Name", "Born", "Changed", "Diagnoses"]

function rowCells({ id, firstName, lastName, birthDate, updated, diagnoses }: HomeRow): string[] {
  const name = [lastName, firstName].filter((part) => part !== "").join(", ")
  return [id, name, birthDate, dayOf(updated), diagnoses.join(" · ")]
}

function recordAsText(view: RecordView): string[] {
  return [
    `Patient: ${view.firstName} ${view.lastName}`.trim(),
    ...[view.birthDate && `born ${view.birthDate}`, view.sex, view.deceased && `deceased ${view.deceased}`]
      .filter((part) => part !== "")
      .map((part) => `  ${part}`),
    // What a record calls them: behind two spaces, so that it is no line of ours.
    ...[...view.identifiers, ...view.contact].map(({ label, value }) => `  ${label}: ${value}`),
    `Who can read this: ${view.readers.join(", ")}`,
    ...(view.keysChanged.length === 0 ? [] : [changedWord(view.keysChanged)]),
    ...(view.archived ? ["Archived"] : []),
    ...(view.seq === view.head ? [] : [`As ${entryName(view.seq)} left it; the newest is entry ${view.head}`]),
    ...view.unreadable.map(({ seq, author, keyBy, newer }) =>
      newer
        ? `The ${entryName(seq)} by ${author} was written by a newer Healthcrypt. Update Healthcrypt to read it and to change this record.`
        : `The ${entryName(seq)} by ${author} verifies but cannot be read${keyBy === null ? "" : `: ${keyBy} gave you a key that does not open it`}.`,
    ),
    ...(view.summaryDiffers
      ? ["The list of patients shows something else than this record. The next change mends it."]
      : []),
    ...section("Allergies", view.allergies),
    ...section(
      "Diagnoses",
      view.diagnoses.map((one) =>
        [one.since, one.text, one.status, one.until && `until ${one.until}`].filter(Boolean).join("  "),
      ),
    ),
    ...view.groups.flatMap(({ type, lines: all }) =>
      section(
        groupTitle(type),
        all.map((one) => `${one.date.padEnd(10)}  ${one.text}`),
      ),
    ),
  ]
}

function itemAsText(item: HistoryItem): string[] {
  const { added, changed, removed } = item.resources
  const counts = [added && `${added} added`, changed && `${changed} changed`, removed && `${removed} removed`].filter(
    Boolean,
  )
  return [
    `${item.seq}  ${bothMoments(item)}  ${item.name === "" ? item.author : `${item.author} (${item.name})`}`,
    ...item.sharing.map((line) => `    ${line}`),
    ...item.changes.map(
      ({ label, before, after }) => `    ${label}: ${before || "(nothing)"} → ${after || "(nothing)"}`,
    ),
    ...(counts.length > 0 ? [`    Other resources: ${counts.join(", ")}`] : []),
    ...(item.archived === null ? [] : [item.archived ? "    Archived" : "    Brought back"]),
    ...(item.note === "" ? [] : [`    ${item.note}`]),
    ...(item.readable ? [] : ["    This entry verifies but cannot be read."]),
  ]
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", title, ...lines.map((line) => `  ${line}`)]
}
