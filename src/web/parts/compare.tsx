import { Button, TextInput } from "@mantine/core"
import { type ReactNode, useState } from "react"
import type { ColleagueView } from "../../client/views.ts"
import { messageOf } from "../form-errors.ts"
import classes from "./compare.module.css"
import { Notice } from "./notice.tsx"
import { ScanCode } from "./scan-code.tsx"

interface CompareProps {
  colleague: ColleagueView
  /** Says what was read, typed or scanned. It fails for anything but a number that differs. */
  onNumber: (number: string, how: "digits" | "code") => Promise<void>
  onDiffers: () => void
}

/** Three ways to find out whether both see the same number. */
export function Compare({ colleague, onNumber, onDiffers }: CompareProps) {
  const [problem, setProblem] = useState("")
  const attempt = async (number: string, how: "digits" | "code") => {
    setProblem("")
    try {
      await onNumber(number, how)
    } catch (error) {
      setProblem(messageOf(error))
    }
  }
  return (
    <section className={classes.compare}>
      <h2>Compare it, one way or another</h2>
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
      <div className={classes.ways}>
        <Way title="Read it aloud">
          <ReadAloud colleague={colleague} onNumber={attempt} onDiffers={onDiffers} />
        </Way>
        <Way title="Type what they read">
          <TypeDigits onNumber={attempt} />
        </Way>
        <Way title="Scan their code">
          <ScanCode username={colleague.username} onText={(text) => attempt(text, "code")} />
        </Way>
      </div>
    </section>
  )
}

function Way({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className={classes.way}>
      <h3>{title}</h3>
      {children}
    </div>
  )
}

function saidOf(digits: number): string {
  return digits === 1 ? "This is 1 digit" : `These are ${digits} digits`
}

type Attempt = (number: string, how: "digits" | "code") => Promise<void>

function ReadAloud({
  colleague,
  onNumber,
  onDiffers,
}: {
  colleague: ColleagueView
  onNumber: Attempt
  onDiffers: () => void
}) {
  const [sure, setSure] = useState(false)
  const [missing, setMissing] = useState(false)
  const [busy, setBusy] = useState(false)
  const match = async () => {
    if (!sure) return setMissing(true)
    setBusy(true)
    await onNumber(colleague.safetyNumber, "digits")
    setBusy(false)
  }
  return (
    <>
      <label className={classes.sure}>
        <input
          type="checkbox"
          checked={sure}
          aria-invalid={missing || undefined}
          aria-describedby={missing ? "sure-missing" : undefined}
          onChange={(event) => {
            setSure(event.currentTarget.checked)
            setMissing(false)
          }}
        />
        I compared all twelve groups with {colleague.username} by telephone or face to face.
      </label>
      {missing && (
        <p id="sure-missing" className={classes.missing} role="alert">
          Tick this once you have done so. A message or a mail does not count: somebody else could have written it.
        </p>
      )}
      <div className={classes.buttons}>
        <Button loading={busy} onClick={() => void match()}>
          They match
        </Button>
        <Button variant="default" onClick={onDiffers}>
          They differ
        </Button>
      </div>
    </>
  )
}

function TypeDigits({ onNumber }: { onNumber: Attempt }) {
  const [typed, setTyped] = useState("")
  const [problem, setProblem] = useState("")
  const [busy, setBusy] = useState(false)
  const compare = async () => {
    const digits = typed.replace(/[\s\p{Dash_Punctuation}]/gu, "")
    if (digits === "") return setProblem("Enter the 60 digits.")
    if (!/^\d+$/.test(digits)) return setProblem("Type digits only, with spaces or hyphens between them if you like.")
    if (digits.length !== 60) return setProblem(`${saidOf(digits.length)}; it takes 60.`)
    setBusy(true)
    await onNumber(digits, "digits")
    setBusy(false)
  }
  return (
    <form
      className={classes.type}
      noValidate
      onSubmit={(event) => {
        event.preventDefault()
        if (!busy) void compare()
      }}
    >
      <TextInput
        label="The digits they read to you"
        inputMode="numeric"
        autoComplete="off"
        value={typed}
        error={problem || null}
        onChange={(event) => {
          setTyped(event.currentTarget.value)
          setProblem("")
        }}
      />
      <div className={classes.buttons}>
        <Button type="submit" variant="default" loading={busy}>
          Compare
        </Button>
      </div>
    </form>
  )
}
