import IconChevronDown from "@tabler/icons-react/dist/esm/icons/IconChevronDown.mjs"
import IconLock from "@tabler/icons-react/dist/esm/icons/IconLock.mjs"
import IconLogout from "@tabler/icons-react/dist/esm/icons/IconLogout.mjs"
import { type FocusEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from "react"
import type { Account } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { joined } from "../shown.ts"
import classes from "./physician-menu.module.css"

/** The button carries the physician's name. Arrow keys move, Escape closes and gives the focus back. */
export function PhysicianMenu({ account }: { account: Extract<Account, { state: "signed-in" }> }) {
  const { lock, signOut, session } = useApp()
  const [open, setOpen] = useState(false)
  const button = useRef<HTMLButtonElement>(null)
  const menu = useRef<HTMLDivElement>(null)
  const menuId = useId()

  useEffect(() => {
    if (open) menu.current?.querySelector("button")?.focus()
  }, [open])

  const leave = () => void signOut().catch(() => session.set({ state: "signed-out" }))
  const close = () =>
    void lock().catch(() => session.set({ state: "locked", username: account.username, reason: "asked" }))

  const onKeyDown = (event: KeyboardEvent) => {
    const items = [...(menu.current?.querySelectorAll("button") ?? [])]
    const at = items.indexOf(document.activeElement as HTMLButtonElement)
    const goal: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }
    const next = goal[event.key]
    if (event.key === "Escape") {
      setOpen(false)
      button.current?.focus()
    } else if (next !== undefined) items.at(next % items.length)?.focus()
    else return
    event.preventDefault()
  }
  const onBlur = (event: FocusEvent) => {
    if (!event.currentTarget.contains(event.relatedTarget)) setOpen(false)
  }

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: only watches the focus leave its children
    <div className={classes.place} onBlur={onBlur}>
      <button
        ref={button}
        type="button"
        className={classes.button}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? menuId : undefined}
        onClick={() => setOpen(!open)}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown") return
          event.preventDefault()
          setOpen(true)
        }}
      >
        <span className={classes.name}>{joined([account.firstName, account.lastName], " ")}</span>
        <IconChevronDown size={16} aria-hidden="true" />
      </button>
      {open && (
        <div ref={menu} id={menuId} role="menu" tabIndex={-1} className={classes.menu} onKeyDown={onKeyDown}>
          <button type="button" role="menuitem" tabIndex={-1} className={classes.item} onClick={close}>
            <IconLock size={18} stroke={1.75} aria-hidden="true" />
            Lock
          </button>
          <button type="button" role="menuitem" tabIndex={-1} className={classes.item} onClick={leave}>
            <IconLogout size={18} stroke={1.75} aria-hidden="true" />
            Sign out
          </button>
        </div>
      )}
    </div>
  )
}
