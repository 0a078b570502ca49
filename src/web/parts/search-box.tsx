import IconSearch from "@tabler/icons-react/dist/esm/icons/IconSearch.mjs"
import { useNavigate, useRouterState } from "@tanstack/react-router"
import { useEffect, useRef } from "react"
import { useApp } from "../app.ts"
import { useStore } from "../store.ts"
import classes from "./search-box.module.css"

/** The one search box. On the home page it filters the table as one types; from elsewhere it goes there. */
export function SearchBox() {
  const { home } = useApp()
  const { search } = useStore(home.view)
  const navigate = useNavigate()
  const atHome = useRouterState({ select: (state) => state.location.pathname === "/" })
  const ref = useRef<HTMLInputElement>(null)

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "k") return
      event.preventDefault()
      ref.current?.focus()
      ref.current?.select()
    }
    addEventListener("keydown", onKey)
    return () => removeEventListener("keydown", onKey)
  }, [])

  const change = (value: string) => {
    home.setSearch(value)
    if (!atHome) void navigate({ to: "/" })
  }

  return (
    <search className={classes.search}>
      <IconSearch className={classes.icon} size={18} stroke={1.75} aria-hidden="true" />
      <input
        ref={ref}
        id="search"
        type="search"
        className={classes.input}
        aria-label="Search patients"
        placeholder="Search patients"
        autoComplete="off"
        spellCheck={false}
        value={search}
        onChange={(event) => change(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !atHome) void navigate({ to: "/" })
          if (event.key === "Escape" && search !== "") {
            event.preventDefault()
            change("")
          }
        }}
      />
      <kbd className={classes.keys}>Ctrl K</kbd>
    </search>
  )
}
