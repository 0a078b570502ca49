import type { HomeSort } from "../../client/views.ts"
import { useApp } from "../app.ts"
import type { HomeView } from "../home-list.ts"
import classes from "./sort-menu.module.css"

/** The table's head is hidden on a phone; this takes its place there. */
export function SortMenu({ view }: { view: HomeView }) {
  const { home } = useApp()
  return (
    <label className={classes.sort}>
      Sort by
      <select value={view.sort} onChange={(event) => home.sortBy(event.currentTarget.value as HomeSort)}>
        <option value="name">Name</option>
        <option value="birthDate">Birth date</option>
        <option value="diagnoses">Diagnoses</option>
        <option value="updated">Last change</option>
      </select>
    </label>
  )
}
