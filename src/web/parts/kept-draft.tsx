import { Button } from "@mantine/core"
import { useEffect, useState } from "react"
import { useApp } from "../app.ts"
import { draftName, draftText, parseDraft } from "../patient-draft.ts"
import type { RecordId } from "../record-id.ts"
import { saveFile } from "../save-file.ts"
import { Notice } from "./notice.tsx"

/** What was typed into a record that can't be written any more: offered as a file, then dropped. */
export function KeptDraft({ id }: { id: RecordId }) {
  const { api } = useApp()
  const [text, setText] = useState<string | null>(null)
  const [saved, setSaved] = useState(false)
  const name = draftName(id)

  useEffect(() => {
    let gone = false
    api.draft(name).then(
      (kept) => {
        const draft = parseDraft(kept)
        if (!gone && draft) setText(draftText(draft))
      },
      () => {},
    )
    return () => {
      gone = true
    }
  }, [api, name])

  useEffect(() => {
    if (text === null) return
    const warn = (event: BeforeUnloadEvent) => event.preventDefault()
    addEventListener("beforeunload", warn)
    return () => removeEventListener("beforeunload", warn)
  }, [text])

  const drop = async () => {
    setText(null)
    await api.dropDraft(name).catch(() => {})
  }
  const save = async () => {
    if (text === null) return
    saveFile("unsaved-changes.txt", "text/plain;charset=utf-8", text)
    setSaved(true)
    await drop()
  }

  if (saved) return <Notice live>Your changes were handed to you as a file, and are no longer kept here.</Notice>
  if (text === null) return null
  return (
    <Notice
      tone="amber"
      actions={
        <>
          <Button size="xs" variant="default" onClick={() => void save()}>
            Download what you typed
          </Button>
          <Button size="xs" variant="subtle" onClick={() => void drop()}>
            Drop it
          </Button>
        </>
      }
    >
      You typed something here that was not saved, and cannot be saved any more. It is kept here, sealed, until you
      download or drop it. The file is not encrypted.
    </Notice>
  )
}
