import { Button } from "@mantine/core"
import { useState } from "react"
import type { RecordView } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { saveBlob } from "../save-file.ts"
import { useProblem } from "../use-problem.ts"
import { ButtonLink } from "./button-link.tsx"
import { Notice } from "./notice.tsx"

/** Browsers let go of downloads that come all at once. */
const betweenDownloadsMs = 300

/** What can be done with a whole record; a reader is offered no editing, nor is anybody while it waits for an owner. Archiving is an entry like any other and can be undone at once. */
export function RecordActions({ record, onChange }: { record: RecordView; onChange: () => void }) {
  const { api, work } = useApp()
  const { problem, fail, clear } = useProblem()
  const [busy, setBusy] = useState<"" | "export" | "archive">("")
  const [exported, setExported] = useState<readonly string[]>([])
  const { id, archived } = record
  const mayWrite = record.role !== "reader" && record.waits === null

  const attempt = async (what: "export" | "archive", run: () => Promise<void>) => {
    setBusy(what)
    clear()
    setExported([])
    try {
      await run()
    } catch (error) {
      fail(error)
      work.set("")
    }
    setBusy("")
  }
  const exportRecord = async () => {
    const files = await api.exportRecord(id)
    setExported(files.map(({ name }) => name))
    for (const [at, file] of files.entries()) {
      if (at > 0) await new Promise((resolve) => setTimeout(resolve, betweenDownloadsMs))
      saveBlob(file.name, file)
    }
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
      {exported.length === 1 && (
        <Notice tone="amber" live>
          {exported[0]} is not encrypted: whoever has the file can read it. Delete it when it is no longer needed.
        </Notice>
      )}
      {exported.length > 1 && (
        <Notice tone="amber" live>
          This record is larger than one file may be, and is saved as {exported.length} files, from {exported[0]} to{" "}
          {exported.at(-1)}. If the browser asks, allow it to save them all. Import all of them, in this order. They are
          not encrypted: whoever has the files can read them. Delete them when they are no longer needed.
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
