import type { ReactNode } from "react"
import type { RecordView } from "../../client/views.ts"
import { ageOf, showDate } from "../dates.ts"
import { joined } from "../shown.ts"
import { Heading } from "./heading.tsx"
import classes from "./identity-strip.module.css"

interface IdentityStripProps {
  record: RecordView
  tab?: string
  /** The tabs, which stay in sight too. */
  children?: ReactNode
}

/** Whose record this is: stays in sight while one scrolls. Allergies are the only red on the page. */
export function IdentityStrip({ record, tab = "Record", children }: IdentityStripProps) {
  const age = ageOf(record.birthDate, record.deceased.length >= 10 ? record.deceased.slice(0, 10) : undefined)
  const identifier = record.identifiers.find(({ label }) => /medical record/i.test(label)) ?? record.identifiers[0]
  const name = joined([record.firstName, record.lastName], " ") || "(no name)"
  return (
    <div className={classes.strip}>
      <div className={classes.who}>
        <Heading tab={tab}>{name}</Heading>
        {record.archived && <span className={classes.tag}>archived</span>}
      </div>
      <ul className={classes.facts} aria-label="Identity">
        {age !== null && <li>{record.deceased ? `lived ${age} years` : `${age} years`}</li>}
        {record.sex && <li>{record.sex.toLowerCase()}</li>}
        {record.birthDate && (
          <li>
            born <time dateTime={record.birthDate}>{showDate(record.birthDate)}</time>
          </li>
        )}
        {record.deceased && <li>died {showDate(record.deceased)}</li>}
        {identifier && (
          <li className={classes.identifier}>
            {identifier.label} {identifier.value}
          </li>
        )}
      </ul>
      {record.allergies.length > 0 && (
        <p className={classes.allergies}>
          <strong>Allergies</strong> {record.allergies.join(" · ")}
        </p>
      )}
      {children}
    </div>
  )
}
