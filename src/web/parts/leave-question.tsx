import { Button } from "@mantine/core"
import { useBlocker } from "@tanstack/react-router"
import { Dialog } from "./dialog.tsx"

interface LeaveQuestionProps {
  /** Whether there is something to lose, asked at the moment of leaving. */
  unsaved: () => boolean
  /** Leaving was chosen: what was typed may go. */
  onLeave: () => void
}

/** Asks before a page with unsaved changes is left, inside the app and, in the browser's words, outside of it. */
export function LeaveQuestion({ unsaved, onLeave }: LeaveQuestionProps) {
  const blocker = useBlocker({ shouldBlockFn: unsaved, enableBeforeUnload: unsaved, withResolver: true })
  if (blocker.status !== "blocked") return null
  return (
    <Dialog
      title="Leave without saving?"
      onClose={blocker.reset}
      actions={
        <>
          <Button variant="default" onClick={blocker.reset}>
            Stay
          </Button>
          <Button
            color="red"
            onClick={() => {
              onLeave()
              blocker.proceed()
            }}
          >
            Leave
          </Button>
        </>
      }
    >
      What you changed on this page has not been saved.
    </Dialog>
  )
}
