import { useNavigate, useParams } from "@tanstack/react-router"
import { useState } from "react"
import type { PatientFields, RecordView, SaveResult } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { ButtonLink } from "../parts/button-link.tsx"
import { Conflict } from "../parts/conflict.tsx"
import { Heading } from "../parts/heading.tsx"
import { PatientForm } from "../parts/patient-form.tsx"
import { RecordGate } from "../parts/record-gate.tsx"
import { Skeleton } from "../parts/skeleton.tsx"
import { parseDraft } from "../patient-draft.ts"
import { asRecordId } from "../record-id.ts"
import { useKeptDraft } from "../use-draft.ts"
import { useRecord } from "../use-record.ts"
import classes from "./edit.module.css"

export function EditRecordScreen() {
  const params = useParams({ from: "/inside/records/$id/edit" })
  const { now, reload } = useRecord(asRecordId(params.id), undefined, false)
  if (now.state !== "ready") return <RecordGate now={now} reload={reload} />
  return <Edit key={now.record.id} record={now.record} />
}

interface Clash {
  readonly result: Extract<SaveResult, { saved: false }>
  readonly fields: PatientFields
  readonly base: number
  readonly leave: () => Promise<void>
}

function Edit({ record }: { record: RecordView }) {
  const { api } = useApp()
  const navigate = useNavigate()
  const { id } = record
  const draftName = `record/${id}`
  const kept = useKeptDraft(draftName)
  const [clash, setClash] = useState<Clash | null>(null)

  const settle = async (result: SaveResult, fields: PatientFields, base: number, leave: () => Promise<void>) => {
    if (!result.saved) return setClash({ result, fields, base, leave })
    await leave()
    await navigate({ to: "/records/$id", params: { id }, state: { merged: result.merged }, replace: true })
  }
  const save = async (fields: PatientFields, base: number | null, leave: () => Promise<void>) => {
    const from = base ?? record.seq
    await settle(await api.save(id, from, fields), fields, from, leave)
  }

  if (kept === "loading") return <Skeleton lines={5} heading />
  return (
    <div className={clash ? classes.wide : classes.page}>
      <Heading tab={clash ? "Two changes" : "Edit"}>
        {clash ? "Both of you changed this" : `Edit ${record.firstName} ${record.lastName}`}
      </Heading>
      {clash && (
        <Conflict
          author={clash.result.author}
          fields={clash.result.fields}
          onChoose={async (choices) => {
            const { result, fields, base, leave } = clash
            await settle(await api.resolve(id, base, fields, result.head, choices), fields, base, leave)
          }}
          onBack={() => setClash(null)}
        />
      )}
      <div hidden={clash !== null}>
        <PatientForm
          draftName={draftName}
          base={record.seq}
          initial={record.form}
          kept={parseDraft(kept)}
          onSave={save}
          cancel={
            <ButtonLink to="/records/$id" params={{ id }} variant="subtle" size="md">
              Cancel
            </ButtonLink>
          }
        />
        <p className={classes.foot}>Saving adds a signed entry. Earlier versions stay in the history.</p>
      </div>
    </div>
  )
}
