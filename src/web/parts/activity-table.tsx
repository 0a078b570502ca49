import { useState } from "react"
import { type ActivityLine, type ActivitySort, kindWords } from "../activity-lines.ts"
import { showDays, showMoment } from "../dates.ts"
import classes from "./activity-table.module.css"
import { SelectField } from "./select-field.tsx"

const columns: readonly { by: ActivitySort; label: string }[] = [
  { by: "time", label: "When" },
  { by: "actor", label: "Who" },
  { by: "kind", label: "What" },
  { by: "detail", label: "Detail" },
]
const drawn = 200

interface Sorting {
  by: ActivitySort
  descending: boolean
}

interface ActivityTableProps {
  items: readonly ActivityLine[]
  sort: Sorting
  onSort: (sort: Sorting) => void
}

export function ActivityTable({ items, sort, onSort }: ActivityTableProps) {
  const [limit, setLimit] = useState(drawn)
  const by = (column: ActivitySort) =>
    onSort({ by: column, descending: sort.by === column ? !sort.descending : column === "time" })
  return (
    <>
      <div className={classes.menu}>
        <SelectField
          small
          label="Sort by"
          value={sort.by}
          onChange={by}
          options={columns.map((column) => ({ value: column.by, label: column.label }))}
        />
      </div>
      <table className={classes.table}>
        <caption className={classes.caption}>Activity</caption>
        <thead className={classes.head}>
          <tr className={classes.row}>
            {columns.map((column) => (
              <th
                key={column.by}
                scope="col"
                aria-sort={sort.by !== column.by ? "none" : sort.descending ? "descending" : "ascending"}
              >
                <button type="button" className={classes.sorter} onClick={() => by(column.by)}>
                  {column.label}
                  <span aria-hidden="true">{sort.by !== column.by ? "" : sort.descending ? " ▼" : " ▲"}</span>
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody className={classes.body}>
          {items.slice(0, limit).map(({ index, time, actor, kind, detail }) => (
            <tr key={index} className={classes.row}>
              <td className={classes.time}>
                <time dateTime={new Date(time).toISOString()}>{showMoment(time)}</time>
              </td>
              <td className={classes.actor}>{actor}</td>
              <td className={classes.kind}>{kindWords[kind]}</td>
              <td className={classes.detail}>{showDays(detail)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {items.length > limit && (
        <button type="button" className={classes.more} onClick={() => setLimit(limit + drawn * 5)}>
          Show more of {items.length.toLocaleString()} lines
        </button>
      )}
    </>
  )
}
