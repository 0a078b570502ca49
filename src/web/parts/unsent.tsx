import { Link } from "@tanstack/react-router"
import type { NotSent, Unsent } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { count, showMoment } from "../dates.ts"
import type { RecordId } from "../record-id.ts"
import { useStore } from "../store.ts"
import { ButtonLink } from "./button-link.tsx"
import look from "./form.module.css"
import { Notice } from "./notice.tsx"
import classes from "./restored.module.css"

/** After a restore of the server: entries that could not be sent again. @param link whether their records can be opened from here */
export function UnsentList({ left, link = false }: { left: readonly NotSent[]; link?: boolean }) {
  return (
    <ul className={classes.list}>
      {left.map(({ key, id, name, time, reason, hasContent }) => (
        <li key={key}>
          <RecordName id={id} name={name} link={link} />
          <span>
            Written {showMoment(time)}. {reason}
            {!hasContent && " Decide that anew, under Sharing."}
          </span>
        </li>
      ))}
    </ul>
  )
}

/** Records of which somebody else had taken the id. */
export function Elsewhere({ elsewhere, link = false }: { elsewhere: Unsent["elsewhere"]; link?: boolean }) {
  if (elsewhere.length === 0) return null
  return (
    <>
      <p className={look.lead}>
        Somebody else has taken the number of {elsewhere.length === 1 ? "one record" : `${elsewhere.length} records`}{" "}
        meanwhile. {elsewhere.length === 1 ? "It goes" : "They go"} on under a new one; share{" "}
        {elsewhere.length === 1 ? "it" : "them"} anew with whoever is to read {elsewhere.length === 1 ? "it" : "them"}:
      </p>
      <ul className={classes.list}>
        {elsewhere.map(({ key, id, name }) => (
          <li key={key}>
            <RecordName id={id} name={name} link={link} />
          </li>
        ))}
      </ul>
    </>
  )
}

function RecordName({ id, name, link }: { id: RecordId; name: string; link: boolean }) {
  const shown = name || "A record without a name"
  if (!link) return <strong>{shown}</strong>
  return (
    <Link to="/records/$id" params={{ id }}>
      {shown}
    </Link>
  )
}

/** Says, for as long as it is so, that something is on this device alone. @param record of one record; left out: of all */
export function UnsentNotice({ record }: { record?: RecordId }) {
  const { left, elsewhere } = useStore(useApp().unsent)
  const mine = record === undefined ? left : left.filter(({ id }) => id === record)
  if (mine.length === 0 && (record !== undefined || elsewhere.length === 0)) return null
  return (
    <Notice
      tone="amber"
      actions={
        <ButtonLink to="/kept" size="xs" variant="default">
          See why
        </ButtonLink>
      }
    >
      {mine.length === 0
        ? "A record of yours goes on under a new number since the server was put back."
        : `${count(mine.length, "entry", "entries")} of yours could not be sent again${
            record === undefined ? "" : " in this record"
          } after the server was put back, and ${mine.length === 1 ? "is" : "are"} on this device alone.`}
    </Notice>
  )
}
