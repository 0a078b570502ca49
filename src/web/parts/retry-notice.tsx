import { Button } from "@mantine/core"
import type { AppError } from "../../errors.ts"
import { Notice } from "./notice.tsx"

export function RetryNotice({ error, onRetry }: { error: AppError; onRetry: () => void }) {
  return (
    <Notice
      tone="amber"
      live
      actions={
        <Button size="xs" variant="default" onClick={onRetry}>
          Try again
        </Button>
      }
    >
      {error.message}
    </Notice>
  )
}
