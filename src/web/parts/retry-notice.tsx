import { Button } from "@mantine/core"
import type { AppError } from "../../errors.ts"
import { useApp } from "../app.ts"
import { saveFile } from "../save-file.ts"
import { Notice } from "./notice.tsx"

/** What went wrong, and the way to try again; what did not check is not tried again. */
export function RetryNotice({ error, onRetry }: { error: AppError; onRetry: () => void }) {
  const { api } = useApp()
  const tampered = error.is("TAMPERED")
  const save = async () => {
    const view = await api.tampered(null).catch(() => null)
    saveFile("healthcrypt-evidence.txt", "text/plain", view?.evidence ?? `${error.code}\n${new Date().toISOString()}\n`)
  }
  return (
    <Notice
      tone={tampered ? "danger" : "amber"}
      live
      actions={
        <Button size="xs" variant="default" onClick={tampered ? () => void save() : onRetry}>
          {tampered ? "Save the evidence" : "Try again"}
        </Button>
      }
    >
      {error.message} {tampered && error.code}
    </Notice>
  )
}
