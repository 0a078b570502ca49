import { Button } from "@mantine/core"
import { useState } from "react"
import { useApp } from "../app.ts"
import { messageOf } from "../form-errors.ts"
import { ButtonLink } from "../parts/button-link.tsx"
import { Heading } from "../parts/heading.tsx"
import { Notice } from "../parts/notice.tsx"
import { SaveLost } from "../parts/save-lost.tsx"
import { Elsewhere, UnsentList } from "../parts/unsent.tsx"
import { useStore } from "../store.ts"
import classes from "./confirm.module.css"

/** After a restore of the server: what this device holds of the physician's own and could not send again. */
export function KeptScreen() {
  const { left, elsewhere } = useStore(useApp().unsent)
  return (
    <div className={classes.page}>
      <Heading tab="Not sent again">Entries on this device alone</Heading>
      {left.length + elsewhere.length > 0 && (
        <p className={classes.lead}>
          The server was put back to an earlier state. What you had written on this device since was sent again, but for
          what stands here: nothing is written over what is newer.
        </p>
      )}
      {left.length > 0 && (
        <section>
          <UnsentList left={left} link />
          <Dismiss key={left.map(({ key }) => key).join()} />
        </section>
      )}
      <section>
        <Elsewhere elsewhere={elsewhere} link />
      </section>
      {left.length + elsewhere.length === 0 && (
        <div className={classes.nothing}>
          <p>Nothing of yours is on this device alone.</p>
          <ButtonLink to="/" variant="default">
            Go to your patients
          </ButtonLink>
        </div>
      )}
    </div>
  )
}

/** Forgets what is listed and can never be sent, once it has been saved. */
function Dismiss() {
  const { api, unsent } = useApp()
  const { left } = useStore(unsent)
  const [saved, setSaved] = useState(false)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState("")
  const hasContent = left.some((one) => one.hasContent)
  const final = left.filter((one) => one.isFinal)
  const dismiss = async () => {
    setBusy(true)
    setProblem("")
    try {
      await api.dismissUnsent(final.map(({ key }) => key))
    } catch (error) {
      setProblem(messageOf(error))
      setBusy(false)
    }
  }
  return (
    <>
      {hasContent && <SaveLost onSaved={() => setSaved(true)} />}
      {saved && final.length > 0 && (
        <>
          <p className={classes.lead}>
            Once the copy is where you want it,{" "}
            {final.length === left.length
              ? "these entries need not be kept here."
              : "those of which something newer is in the record, whose record is gone, or that the server refused, need not be kept here. The others stay."}
          </p>
          <Button mt="xs" variant="default" loading={busy} onClick={dismiss}>
            Remove from this device
          </Button>
        </>
      )}
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
    </>
  )
}
