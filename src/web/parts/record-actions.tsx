import { Button } from "@mantine/core"
import { useState } from "react"
import type { RecordView } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { saveFile } from "../save-file.ts"
import { useProblem } from "../use-problem.ts"
import { ButtonLink } from "./button-link.tsx"
import { Notice } from "./notice.tsx"

/** What can be done with a whole record; a reader is offered no editing, nor is anybody while it waits for an owner. Archiving is an entry like any other and can be undone at once. */
export function RecordActions({ record, onChange }: { record: RecordView; onChange: () => void }) {
  const { api, work } = useApp()
  const { problem, fail, clear } = useProblem()
  const [busy, setBusy] = useState<"" | "export" | "archive">("")
  const [exported, setExported] = useState("")
  const { id, archived } = record
  const mayWrite = record.role !== "reader" && record.waits === null

  const attempt = async (what: "export" | "archive", run: () => Promise<void>) => {
    setBusy(what)
    clear()
    setExported("")
    try {
      await run()
    } catch (error) {
      fail(error)
      work.set("")
    }
    setBusy("")
  }
  const exportRecord = async () => {
    // The file is the physician's own; its name gives away no more than the record's id.
    const file = `record-${id}.json`
    saveFile(file, "application/fhir+json", await api.exportRecord(id))
    setExported(file)
  }
  const archive = async () => {
    work.set("saving")
    await api.archive(id, !archived)
    work.set("saved")
    onChange()
  }

  return (
    <>
      {mayWrite && (
        <ButtonLink to="/records/$id/edit" params={{ id }}>
          Edit
        </ButtonLink>
      )}
      <Button variant="default" loading={busy === "export"} onClick={() => void attempt("export", exportRecord)}>
        Export
      </Button>
      {mayWrite && (
        <Button variant="default" loading={busy === "archive"} onClick={() => void attempt("archive", archive)}>
          {archived ? "Bring back" : "Archive"}
        </Button>
      )}
      {exported && (
        <Notice tone="amber" live>
          {exported} is not encrypted: whoever has the file can read it. Delete it when it is no longer needed.
        </Notice>
      )}
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
    </>
  )
}
