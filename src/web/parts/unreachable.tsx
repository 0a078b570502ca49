import { Button } from "@mantine/core"
import { useApp } from "../app.ts"
import look from "./form.module.css"
import { Heading } from "./heading.tsx"
import { Outside } from "./outside.tsx"

/** Before anybody could say whether a session is remembered. Tries again by itself. */
export function Unreachable({ why }: { why: string }) {
  const { restore } = useApp()
  return (
    <Outside>
      <Heading tab="Offline">Not connected</Heading>
      <p className={look.lead}>{why} This page tries again every few seconds.</p>
      <div className={look.form}>
        <Button size="md" variant="default" onClick={() => void restore()}>
          Try again now
        </Button>
      </div>
    </Outside>
  )
}
