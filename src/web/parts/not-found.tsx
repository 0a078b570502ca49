import { Link } from "@tanstack/react-router"
import look from "./form.module.css"
import { Heading } from "./heading.tsx"
import { Outside } from "./outside.tsx"

export function NotFound() {
  return (
    <Outside>
      <Heading tab="Not found">There is no page here</Heading>
      <p className={look.lead}>Check the address, or start from your patients.</p>
      <div className={look.links}>
        <Link to="/">Go to your patients</Link>
      </div>
    </Outside>
  )
}
