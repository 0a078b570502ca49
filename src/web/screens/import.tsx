import { Button } from "@mantine/core"
import { type DragEvent, useRef, useState } from "react"
import { useApp } from "../app.ts"
import { count } from "../dates.ts"
import { Heading } from "../parts/heading.tsx"
import { ImportReportList } from "../parts/import-report.tsx"
import { Progress } from "../parts/progress.tsx"
import { useStore } from "../store.ts"
import classes from "./import.module.css"

export function ImportScreen() {
  const { imports, home } = useApp()
  const state = useStore(imports.state)
  const [over, setOver] = useState(false)
  const [asNew, setAsNew] = useState(false)
  const chooser = useRef<HTMLInputElement>(null)

  const take = async (files: readonly File[]) => {
    await imports.start(files, asNew)
    setAsNew(false)
    home.rosterMoved(true)
  }
  const drop = (event: DragEvent) => {
    event.preventDefault()
    setOver(false)
    void take([...event.dataTransfer.files])
  }

  return (
    <div className={classes.page}>
      <Heading tab="Import">Import patients</Heading>
      <p className={classes.lead}>
        FHIR R4 bundles, a record for each patient in them. Each file is checked whole, and encrypted on this device,
        before any of it is stored.
      </p>
      {state.running ? (
        <Progress
          label="Import"
          now={state.file}
          fraction={state.fraction}
          numbers={[
            `${state.filesDone} of ${count(state.filesTotal, "file")}`,
            count(state.resourcesDone, "resource"),
            `${Math.round(state.rate).toLocaleString()} a second`,
          ]}
          timeLeft={state.timeLeft}
          cancelling={state.cancelling}
          onCancel={() => void imports.cancel()}
        />
      ) : (
        // biome-ignore lint/a11y/noStaticElementInteractions: dropping is an extra; the button inside does the same
        <div
          className={classes.drop}
          data-over={over || undefined}
          onDragOver={(event) => {
            event.preventDefault()
            setOver(true)
          }}
          onDragLeave={() => setOver(false)}
          onDrop={drop}
        >
          <p>Drop files here, or</p>
          <Button variant="default" onClick={() => chooser.current?.click()}>
            Choose files
          </Button>
          <label className={classes.asNew}>
            <input type="checkbox" checked={asNew} onChange={(event) => setAsNew(event.currentTarget.checked)} />
            As new records: put nothing into one that is there, such as one that is full
          </label>
          <input
            ref={chooser}
            type="file"
            multiple
            accept=".json,application/json,application/fhir+json"
            aria-label="FHIR files"
            className={classes.chooser}
            tabIndex={-1}
            onChange={(event) => {
              const files = [...(event.currentTarget.files ?? [])]
              event.currentTarget.value = ""
              void take(files)
            }}
          />
        </div>
      )}
      <ImportReportList reports={state.reports} running={state.running} />
    </div>
  )
}
