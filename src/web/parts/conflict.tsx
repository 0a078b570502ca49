import { Button } from "@mantine/core"
import { useState } from "react"
import type { ConflictField } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { useProblem } from "../use-problem.ts"
import classes from "./conflict.module.css"
import look from "./form.module.css"
import { Notice } from "./notice.tsx"

type Side = "mine" | "theirs"

interface ConflictProps {
  author: string
  fields: readonly ConflictField[]
  onChoose: (choices: Readonly<Record<string, Side>>) => Promise<void>
  onBack: () => void
}

/** Yours and theirs, side by side, with nothing chosen beforehand. */
export function Conflict({ author, fields, onChoose, onBack }: ConflictProps) {
  const { work } = useApp()
  const [choices, setChoices] = useState<Readonly<Record<string, Side>>>({})
  const [missing, setMissing] = useState(false)
  const [busy, setBusy] = useState(false)
  const { problem, fail, clear } = useProblem()
  const who = author || "Somebody else"

  const save = async () => {
    if (fields.some(({ key }) => !choices[key])) return setMissing(true)
    setBusy(true)
    clear()
    work.set("saving")
    try {
      await onChoose(choices)
    } catch (error) {
      fail(error)
    }
    if (work.get() === "saving") work.set("")
    setBusy(false)
  }

  const pick = (key: string, side: Side) => ({
    checked: choices[key] === side,
    onPick: () => setChoices((before) => ({ ...before, [key]: side })),
  })
  return (
    <form
      className={look.form}
      noValidate
      onSubmit={(event) => {
        event.preventDefault()
        if (!busy) void save()
      }}
    >
      <p className={look.lead}>
        {who} saved this record while you were editing it. Choose which to keep. Theirs stays in the history either way;
        yours is only saved where you choose it.
      </p>
      {fields.map(({ key, label, before, mine, theirs }) => (
        <fieldset key={key} className={classes.field}>
          <legend>{label}</legend>
          <p className={classes.before}>It was: {before || "empty"}</p>
          <div className={classes.sides}>
            <Choice name={key} title="Yours" text={mine} {...pick(key, "mine")} />
            <Choice name={key} title={author ? `By ${author}` : "Theirs"} text={theirs} {...pick(key, "theirs")} />
          </div>
          {missing && !choices[key] && (
            <p className={classes.missing} role="alert">
              Choose one of the two.
            </p>
          )}
        </fieldset>
      ))}
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
      <div className={look.buttons}>
        <Button type="submit" size="md" loading={busy}>
          Save
        </Button>
        <Button variant="subtle" size="md" onClick={onBack}>
          Back to the form
        </Button>
      </div>
    </form>
  )
}

interface ChoiceProps {
  name: string
  title: string
  text: string
  checked: boolean
  onPick: () => void
}

function Choice({ name, title, text, checked, onPick }: ChoiceProps) {
  return (
    <label className={classes.side} data-checked={checked || undefined}>
      <span className={classes.title}>
        <input type="radio" name={name} checked={checked} onChange={onPick} />
        {title}
      </span>
      <span className={classes.text}>{text || "empty"}</span>
    </label>
  )
}
