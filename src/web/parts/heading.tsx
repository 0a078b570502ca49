import { type ReactNode, useEffect, useRef } from "react"

interface HeadingProps {
  /** The title in the browser's tab: never patient data, so it is given apart. */
  tab: string
  /** 2 inside a page that has a title of its own. */
  level?: 1 | 2
  children: ReactNode
}

/** A page's title. Takes the focus when it appears, unless a field on the page already has it. */
export function Heading({ tab, level = 1, children }: HeadingProps) {
  const ref = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = `${tab} · Healthcrypt`
    const holder = document.activeElement
    const typing = holder instanceof HTMLInputElement || holder instanceof HTMLTextAreaElement
    // Whoever moves along a row of tabs stays there.
    const choosing = holder?.closest("[data-tabs]") != null
    if (!typing && !choosing) ref.current?.focus({ preventScroll: true })
  }, [tab])
  const Tag = level === 1 ? "h1" : "h2"
  return (
    <Tag ref={ref} tabIndex={-1}>
      {children}
    </Tag>
  )
}
