import { type ReactNode, useEffect, useId, useRef } from "react"
import classes from "./dialog.module.css"

interface DialogProps {
  title: string
  children: ReactNode
  actions: ReactNode
  /** Escape. */
  onClose: () => void
}

/** The browser's own modal: it traps focus, gives it back, and listens to Escape. Render it to open it. */
export function Dialog({ title, children, actions, onClose }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null)
  const titleId = useId()
  useEffect(() => {
    const dialog = ref.current
    dialog?.showModal()
    return () => dialog?.close()
  }, [])
  return (
    <dialog
      ref={ref}
      className={classes.dialog}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
    >
      <h2 id={titleId}>{title}</h2>
      <div className={classes.words}>{children}</div>
      <div className={classes.actions}>{actions}</div>
    </dialog>
  )
}
