import { Button } from "@mantine/core"
import { useState } from "react"
import { nothingSelected, useApp } from "../app.ts"
import { count } from "../dates.ts"
import { messageOf } from "../form-errors.ts"
import type { HomeView } from "../home-list.ts"
import { useStore } from "../store.ts"
import { ButtonLink } from "./button-link.tsx"
import { nameOf } from "./patient-table.tsx"
import classes from "./selection-bar.module.css"

/** What can be done with the records that are ticked; stays at the foot of the window. */
export function SelectionBar({ view }: { view: HomeView }) {
  const { api, selection } = useApp()
  const { ids } = useStore(selection)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState("")

  const selectAll = async () => {
    const { search, sort, descending, archived, matching } = view
    setBusy(true)
    setProblem("")
    try {
      const page = await api.home({ search, sort, descending, archived, offset: 0, limit: matching })
      const own = page.rows.filter(({ role }) => role === "owner").map((row) => [row.id, nameOf(row)] as const)
      if (selection.get().on) selection.set({ on: true, ids: new Map([...ids, ...own]) })
    } catch (error) {
      setProblem(messageOf(error))
    }
    setBusy(false)
  }

  return (
    <section className={classes.bar} aria-label="Selection">
      <p className={classes.count} role="status">
        {problem || (ids.size === 0 ? "Tick the records to share" : `${count(ids.size, "record")} selected`)}
      </p>
      <Button size="xs" variant="subtle" loading={busy} onClick={() => void selectAll()}>
        {view.search === "" ? "Select all" : `Select all ${view.matching.toLocaleString()} found`}
      </Button>
      {ids.size > 0 && (
        <Button size="xs" variant="subtle" onClick={() => selection.set({ ...nothingSelected, on: true })}>
          Clear
        </Button>
      )}
      <Button size="xs" variant="default" onClick={() => selection.set(nothingSelected)}>
        Done
      </Button>
      {ids.size > 0 && (
        <ButtonLink to="/share" size="xs">
          Share…
        </ButtonLink>
      )}
    </section>
  )
}
