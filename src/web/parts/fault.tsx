import { Button } from "@mantine/core"
import look from "./form.module.css"
import { Heading } from "./heading.tsx"
import { Outside } from "./outside.tsx"

/** Where a page could not be drawn, by a fault of ours or because it could not be loaded. */
export function Fault() {
  return (
    <Outside>
      <Heading tab="Fault">This page can’t be shown</Heading>
      <p className={look.lead}>
        Nothing that was saved is lost. Load the page again; if it happens once more, tell whoever runs your server.
      </p>
      <div className={look.form}>
        <Button size="md" onClick={() => location.reload()}>
          Load again
        </Button>
      </div>
    </Outside>
  )
}
