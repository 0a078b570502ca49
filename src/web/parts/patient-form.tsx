import { Button, Textarea, TextInput } from "@mantine/core"
import { useForm } from "@mantine/form"
import { type ReactNode, useRef, useState } from "react"
import type { PatientFields } from "../../client/views.ts"
import { readDates } from "../../clinical/dates.ts"
import { validatePatientFields } from "../../clinical/fields.ts"
import { AppError } from "../../errors.ts"
import { useApp } from "../app.ts"
import { today } from "../dates.ts"
import { messageOf, showErrors } from "../form-errors.ts"
import { emptyFields, encodeDraft, fieldNames, type PatientDraft, sameFields } from "../patient-draft.ts"
import { useAfterPress } from "../use-after-press.ts"
import { useDraft } from "../use-draft.ts"
import { useProblem } from "../use-problem.ts"
import { BirthDateField } from "./birth-date-field.tsx"
import look from "./form.module.css"
import { LeaveQuestion } from "./leave-question.tsx"
import { Notice } from "./notice.tsx"

interface PatientFormProps {
  draftName: string
  /** What the form shows when nothing was typed, and the version it came from. */
  base: number | null
  initial: PatientFields
  /** What was typed before a lock or a closed tab. */
  kept: PatientDraft | null
  /** Saves; the form stays as it is when this fails. `leave` lets the page go without a question. */
  onSave: (fields: PatientFields, base: number | null, leave: () => Promise<void>) => Promise<void>
  /** Something was typed since the last save. */
  onEdit?: () => void
  /** Something above the buttons, such as a question before saving. */
  children?: ReactNode
  cancel: ReactNode
}

export function PatientForm({ draftName, base, initial, kept, onSave, onEdit, children, cancel }: PatientFormProps) {
  const { work } = useApp()
  const draft = useDraft(draftName)
  const [from, setFrom] = useState<PatientDraft>(() => kept ?? { base, initial, values: initial })
  const [broughtBack, setBroughtBack] = useState(kept !== null)
  const { problem, fail, clear } = useProblem()
  const afterPress = useAfterPress()
  const [busy, setBusy] = useState(false)
  const leaving = useRef(false)
  const form = useForm<PatientFields>({
    mode: "controlled",
    initialValues: from.values,
    onValuesChange: (values) => {
      onEdit?.()
      const same = sameFields(values, from.initial)
      draft.keep(same ? null : encodeDraft({ ...from, values }))
    },
  })
  const check = (values: PatientFields) =>
    validatePatientFields(values, today(), from.base === null ? {} : { before: from.initial })

  /** On leaving a field: says at once what is wrong with it, and writes a date as it will be kept. */
  const onLeaving = (name: keyof PatientFields) => () => {
    const values = form.getValues()
    if (values[name].trim() === "") return
    try {
      check(values)
    } catch (error) {
      const message = error instanceof AppError ? error.fields?.[name] : undefined
      if (message) {
        const same = () => form.getValues()[name] === values[name]
        return afterPress(() => same() && form.setFieldError(name, message))
      }
    }
    form.clearFieldError(name)
    if (name !== "birthDate" || values.birthDate === from.initial.birthDate) return
    const [date] = readDates(values.birthDate, today())
    if (date && date !== values.birthDate) form.setFieldValue("birthDate", date)
  }

  const save = async () => {
    clear()
    let fields = emptyFields
    try {
      fields = check(form.getValues())
    } catch (error) {
      fail(error, showErrors(form, fieldNames, error))
      return
    }
    setBusy(true)
    work.set("saving")
    try {
      await draft.flush().catch(() => {})
      await onSave(fields, from.base, async () => {
        leaving.current = true
        work.set("saved")
        await draft.drop().catch(() => {})
      })
    } catch (error) {
      fail(error, showErrors(form, fieldNames, error) || messageOf(error))
    }
    if (work.get() === "saving") work.set("")
    setBusy(false)
  }

  const discard = () => {
    setBroughtBack(false)
    setFrom({ base, initial, values: initial })
    form.setValues(initial)
    form.clearErrors()
    void draft.drop().catch(() => {})
  }

  const field = (name: keyof PatientFields) => ({
    ...form.getInputProps(name),
    value: form.values[name],
    onBlur: onLeaving(name),
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
      <LeaveQuestion
        unsaved={() => !leaving.current && !sameFields(form.getValues(), from.initial)}
        onLeave={() => void draft.drop().catch(() => {})}
      />
      {broughtBack && (
        <Notice
          tone="amber"
          live
          actions={
            <Button size="xs" variant="default" onClick={discard}>
              Discard them
            </Button>
          }
        >
          Your unsaved changes are back.
        </Notice>
      )}
      <div className={look.pair}>
        <TextInput label="First name" autoComplete="off" {...field("firstName")} />
        <TextInput label="Last name" autoComplete="off" {...field("lastName")} />
      </div>
      <BirthDateField {...field("birthDate")} />
      <Textarea
        label="Diagnosis"
        description="One diagnosis, whatever the number of lines. Further ones come by import."
        autosize={false}
        rows={3}
        autoComplete="off"
        {...field("diagnosis")}
      />
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
      {children}
      <div className={look.buttons}>
        <Button type="submit" size="md" loading={busy}>
          Save
        </Button>
        {cancel}
      </div>
    </form>
  )
}
