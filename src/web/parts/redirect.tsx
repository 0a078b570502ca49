import { useNavigate } from "@tanstack/react-router"
import { useEffect, useState } from "react"

/** Goes elsewhere once, to where it was told first: while a navigation is under way the page is drawn again, with the
 * new address already, and must not turn round. */
export function Redirect({ to, next }: { to: string; next?: string | undefined }) {
  const navigate = useNavigate()
  const [goal] = useState({ to, state: next === undefined ? {} : { next } })
  useEffect(() => {
    void navigate({ ...goal, replace: true })
  }, [navigate, goal])
  return null
}
