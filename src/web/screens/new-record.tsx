import { Button } from "@mantine/core"
import { Link, useNavigate } from "@tanstack/react-router"
import { useRef, useState } from "react"
import type { HomeRow, PatientFields } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { count } from "../dates.ts"
import { ButtonLink } from "../parts/button-link.tsx"
import { Heading } from "../parts/heading.tsx"
import { Notice } from "../parts/notice.tsx"
import { PatientForm } from "../parts/patient-form.tsx"
import { Skeleton } from "../parts/skeleton.tsx"
import { emptyFields, parseDraft } from "../patient-draft.ts"
import { joined } from "../shown.ts"
import { useKeptDraft } from "../use-draft.ts"
import { useProblem } from "../use-problem.ts"
import classes from "./edit.module.css"

const draftName = "record/new"

interface Question {
  readonly namesakes: readonly HomeRow[]
  readonly fields: PatientFields
  readonly leave: () => Promise<void>
}

export function NewRecordScreen() {
  const { api, work } = useApp()
  const navigate = useNavigate()
  const kept = useKeptDraft(draftName)
  const [question, setQuestion] = useState<Question | null>(null)
  const [busy, setBusy] = useState(false)
  const { problem, fail, clear } = useProblem()
  const answered = useRef<HTMLDivElement>(null)

  const create = async (fields: PatientFields, leave: () => Promise<void>) => {
    const { id } = await api.create(fields)
    await leave()
    await navigate({ to: "/records/$id", params: { id }, replace: true })
  }
  const save = async (fields: PatientFields, _base: number | null, leave: () => Promise<void>) => {
    setQuestion(null)
    const namesakes = await api.namesakes(fields)
    if (namesakes.length === 0) return create(fields, leave)
    setQuestion({ namesakes, fields, leave })
    work.set("")
    requestAnimationFrame(() => answered.current?.focus())
  }
  const createAnyway = async ({ fields, leave }: Question) => {
    setBusy(true)
    clear()
    try {
      await create(fields, leave)
    } catch (error) {
      fail(error)
      setBusy(false)
    }
  }

  return (
    <div className={classes.page}>
      <Heading tab="New patient">New patient</Heading>
      {kept === "loading" ? (
        <Skeleton lines={4} />
      ) : (
        <PatientForm
          draftName={draftName}
          base={null}
          initial={emptyFields}
          kept={parseDraft(kept)}
          onSave={save}
          onEdit={() => setQuestion(null)}
          cancel={
            <ButtonLink to="/" variant="subtle" size="md">
              Cancel
            </ButtonLink>
          }
        >
          {question && (
            <div ref={answered} tabIndex={-1}>
              <Notice
                tone="amber"
                live
                actions={
                  <Button size="xs" variant="default" loading={busy} onClick={() => void createAnyway(question)}>
                    Create anyway
                  </Button>
                }
              >
                {count(question.namesakes.length, "patient")} with this name and birth date{" "}
                {question.namesakes.length === 1 ? "is" : "are"} here already:{" "}
                {question.namesakes.map(({ id, lastName, firstName }, index) => (
                  <span key={id}>
                    {index > 0 && ", "}
                    <Link to="/records/$id" params={{ id }}>
                      {joined([lastName, firstName], ", ")}
                    </Link>
                  </span>
                ))}
                . {problem}
              </Notice>
            </div>
          )}
        </PatientForm>
      )}
      <p className={classes.foot}>Encrypted on this device before it is stored.</p>
    </div>
  )
}
