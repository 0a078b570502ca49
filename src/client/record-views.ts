import { applyBody, type Chart, emptyChart } from "../clinical/fold.ts"
import { changesBetween } from "../clinical/history.ts"
import { encodeSummary, summaryOf } from "../clinical/summary.ts"
import { viewOf } from "../clinical/view.ts"
import { equal } from "../encoding/bytes.ts"
import { chartAt } from "./edits.ts"
import type { OpenRecord } from "./records.ts"
import type { RosterRow } from "./roster-row.ts"
import type { HistoryItem, RecordView } from "./views.ts"

/** A record in words, as of one of its entries.
 * @param row what the home page showed before the record was opened. */
export function viewRecord(record: OpenRecord, seq: number, row: RosterRow | null): RecordView {
  const chart = chartAt(record, seq)
  const differs = row !== null && row.seq === record.head.seq && !sameSummary(row, record.chart)
  return {
    ...viewOf(chart),
    id: record.id,
    seq,
    head: record.head.seq,
    updated: record.steps[seq]!.entry.time,
    unreadable: record.steps
      .filter((step) => step.unreadable)
      .map((step) => ({ seq: step.entry.seq, author: nameOf(record, step.entry.author) })),
    summaryDiffers: differs,
    readers: record.head.members.length === 1 ? ["Only you"] : record.head.members.map((member) => member.physician),
  }
}

/** Every entry, newest first: who, when, what changed. */
export function viewHistory(record: OpenRecord): HistoryItem[] {
  let chart = emptyChart()
  const items = record.steps.map((step): HistoryItem => {
    const before = chart
    if (step.body !== null) chart = applyBody(chart, step.body)
    const none = { changes: [], resources: { added: 0, changed: 0, removed: 0 } }
    return {
      seq: step.entry.seq,
      kind: step.entry.kind,
      author: step.body?.by ?? nameOf(record, step.entry.author),
      time: step.entry.time,
      serverTime: step.serverTime,
      ...(step.body === null ? none : changesBetween(before, chart, step.body)),
      archived: chart.archived === before.archived ? null : chart.archived,
      note: step.body?.note ?? "",
      readable: !step.unreadable,
    }
  })
  return items.reverse()
}

/** The name that a physician gave in the newest entry of theirs that can be read. */
function nameOf(record: OpenRecord, physician: string): string {
  return record.steps.findLast((step) => step.entry.author === physician && step.body !== null)?.body?.by ?? physician
}

function sameSummary(row: RosterRow, chart: Chart): boolean {
  const { firstName, lastName, birthDate, diagnoses, patient, archived } = row
  const shown = encodeSummary({ firstName, lastName, birthDate, diagnoses, patient, archived })
  return equal(shown, encodeSummary(summaryOf(chart)))
}
