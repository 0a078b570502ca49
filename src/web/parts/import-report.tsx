import { Link } from "@tanstack/react-router"
import type { ImportReport } from "../../client/views.ts"
import { count } from "../dates.ts"
import classes from "./import-report.module.css"

const words: Record<ImportReport["outcome"], string> = {
  added: "Added",
  merged: "Merged",
  "nothing-new": "Nothing new",
  refused: "Refused",
  cancelled: "Cancelled",
}

export function ImportReportList({ reports, running }: { reports: readonly ImportReport[]; running: boolean }) {
  if (reports.length === 0) return null
  return (
    <section className={classes.report}>
      <h2>{running ? "So far" : "What was taken"}</h2>
      <p role="status" className={classes.sum}>
        {summary(reports)}
      </p>
      <ul>
        {reports.map((report, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two files may have one name; the list only grows
          <li key={index} className={classes.file} data-outcome={report.outcome}>
            <div className={classes.head}>
              <span className={classes.name}>{report.file}</span>
              <span className={classes.outcome}>{words[report.outcome]}</span>
            </div>
            <Details report={report} />
          </li>
        ))}
      </ul>
    </section>
  )
}

function Details({ report }: { report: ImportReport }) {
  if (report.outcome === "refused") {
    return (
      <>
        <p title={report.code}>{report.message}</p>
        {report.records.length > 0 && (
          <p>
            Stored before that: <Names records={report.records} />
          </p>
        )}
      </>
    )
  }
  if (report.outcome === "cancelled") {
    if (report.records.length === 0) return <p>Nothing of this file was taken.</p>
    return (
      <>
        <p>
          Taken before that: <Names records={report.records} />
        </p>
        <p className={classes.quiet}>Choose the file again to go on with the rest.</p>
      </>
    )
  }
  return (
    <>
      <p>
        <Names records={report.records} />
        {report.records.length > 0 && " · "}
        {report.outcome === "nothing-new"
          ? `all ${count(report.resources, "resource")} were here already`
          : `${report.added.toLocaleString()} added, ${report.changed.toLocaleString()} changed of ${count(report.resources, "resource")}`}
      </p>
      {report.apart > 0 && (
        <p className={classes.quiet}>
          {report.apart === 1
            ? "A record with the same patient number is here, but you did not make it of this person, or cannot read all of it. Nothing was put into it: this patient has a record of their own."
            : `Records with the same patient numbers are here, but you did not make them of these persons, or cannot read all of them. Nothing was put into them: ${count(report.apart, "patient")} have records of their own.`}
        </p>
      )}
      {report.leftOut > 0 && (
        <p className={classes.quiet}>
          {count(report.leftOut, "resource")} of this file {report.leftOut === 1 ? "belongs" : "belong"} to none of its
          patients and {report.leftOut === 1 ? "was" : "were"} not taken.
        </p>
      )}
      {report.notUnderstood.length > 0 && (
        <p className={classes.quiet}>
          Kept unchanged, shown only as plain lines:{" "}
          {report.notUnderstood.map(({ type, count: number }) => `${number.toLocaleString()} ${type}`).join(", ")}
        </p>
      )}
    </>
  )
}

function Names({ records }: Pick<ImportReport, "records">) {
  return records.map(({ id, name }, index) => (
    <span key={id}>
      {index > 0 && ", "}
      <Link to="/records/$id" params={{ id }}>
        {name}
      </Link>
    </span>
  ))
}

function summary(reports: readonly ImportReport[]): string {
  const of = (outcome: ImportReport["outcome"]) => reports.filter((report) => report.outcome === outcome).length
  return [
    [of("added"), "added"],
    [of("merged"), "merged"],
    [of("nothing-new"), "with nothing new"],
    [of("refused"), "refused"],
    [of("cancelled"), "cancelled"],
  ]
    .filter(([number]) => number !== 0)
    .map(([number, what], index) => (index === 0 ? `${count(Number(number), "file")} ${what}` : `${number} ${what}`))
    .join(", ")
}
