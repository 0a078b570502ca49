import { Button } from "@mantine/core"
import { type DragEvent, useRef, useState } from "react"
import { useApp } from "../app.ts"
import { count } from "../dates.ts"
import type { ImportState } from "../imports.ts"
import { Heading } from "../parts/heading.tsx"
import { ImportReportList } from "../parts/import-report.tsx"
import { useStore } from "../store.ts"
import classes from "./import.module.css"

export function ImportScreen() {
  const { imports, home } = useApp()
  const state = useStore(imports.state)
  const [over, setOver] = useState(false)
  const chooser = useRef<HTMLInputElement>(null)

  const take = async (files: readonly File[]) => {
    await imports.start(files)
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
        FHIR R4 bundles, one patient a file. Each file is checked whole, and encrypted on this device, before any of it
        is stored.
      </p>
      {state.running ? (
        <Progress state={state} onCancel={() => void imports.cancel()} />
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

function Progress({ state, onCancel }: { state: ImportState; onCancel: () => void }) {
  const percent = Math.round(state.fraction * 100)
  return (
    <section className={classes.progress} aria-label="Progress">
      <div className={classes.now}>
        <p className={classes.file}>{state.file}</p>
        <Button variant="default" size="xs" disabled={state.cancelling} onClick={onCancel}>
          {state.cancelling ? "Cancelling…" : "Cancel"}
        </Button>
      </div>
      <div
        className={classes.bar}
        role="progressbar"
        aria-label="Import"
        aria-valuenow={percent}
        aria-valuemin={0}
        aria-valuemax={100}
      >
        <div className={classes.done} style={{ transform: `scaleX(${state.fraction})` }} />
      </div>
      <ul className={classes.numbers}>
        <li>
          {state.filesDone} of {count(state.filesTotal, "file")}
        </li>
        <li>{count(state.resourcesDone, "resource")}</li>
        <li>{Math.round(state.rate).toLocaleString()} a second</li>
        <li>{state.timeLeft === null ? "…" : `${timeText(state.timeLeft)} left`}</li>
      </ul>
    </section>
  )
}

function timeText(seconds: number): string {
  if (seconds < 60) return count(Math.max(1, Math.ceil(seconds)), "second")
  return count(Math.ceil(seconds / 60), "minute")
}
