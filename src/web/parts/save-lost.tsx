import { Button } from "@mantine/core"
import { useState } from "react"
import { useApp } from "../app.ts"
import { messageOf } from "../form-errors.ts"
import { saveFile } from "../save-file.ts"
import { Notice } from "./notice.tsx"
import classes from "./restored.module.css"

/** Hands over what this device holds of the physician's own, and the server lost: a file on their own machine. */
export function SaveLost({ onSaved }: { onSaved?: () => void }) {
  const { api } = useApp()
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState("")
  const save = async () => {
    setBusy(true)
    setProblem("")
    try {
      const text = await api.lostToRestore()
      if (text === null) setProblem("Nothing is left here to save: all was sent.")
      else {
        saveFile("healthcrypt-lost-entries.json", "application/json", text)
        onSaved?.()
      }
    } catch (error) {
      setProblem(messageOf(error))
    }
    setBusy(false)
  }
  return (
    <div className={classes.save}>
      <Button variant="default" loading={busy} onClick={save}>
        Save a copy of your entries
      </Button>
      <p>The file is not encrypted. Delete it when it is no longer needed.</p>
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
    </div>
  )
}
