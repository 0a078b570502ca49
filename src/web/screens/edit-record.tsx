import { Link, useNavigate, useParams } from "@tanstack/react-router"
import { useRef, useState } from "react"
import type { PatientFields, RecordView, SaveResult } from "../../client/views.ts"
import { useApp, useSession } from "../app.ts"
import { keptBy, type Merged } from "../merged.ts"
import { ButtonLink } from "../parts/button-link.tsx"
import { Conflict } from "../parts/conflict.tsx"
import { Heading } from "../parts/heading.tsx"
import { KeptDraft } from "../parts/kept-draft.tsx"
import { Notice } from "../parts/notice.tsx"
import { PatientForm } from "../parts/patient-form.tsx"
import { RecordGate } from "../parts/record-gate.tsx"
import { Skeleton } from "../parts/skeleton.tsx"
import { Unreadable } from "../parts/unreadable.tsx"
import { Waits } from "../parts/waits.tsx"
import { draftName, parseDraft } from "../patient-draft.ts"
import { asRecordId } from "../record-id.ts"
import { joined } from "../shown.ts"
import { useAnswer } from "../use-answer.ts"
import { useKeptDraft } from "../use-draft.ts"
import { useRecord } from "../use-record.ts"
import classes from "./edit.module.css"

export function EditRecordScreen() {
  const params = useParams({ from: "/inside/records/$id/edit" })
  const id = asRecordId(params.id)
  const { now, reload } = useRecord(id)
  // The form keeps what it was opened with; what comes meanwhile is told beside it.
  const opened = useRef<RecordView | null>(null)
  if (now.state !== "ready") return <RecordGate now={now} reload={reload} />
  if (opened.current?.id !== now.record.id) opened.current = now.record
  if (now.record.role === "reader") return <OnlyReading record={now.record} />
  if (now.record.waits !== null) return <Waiting record={now.record} />
  return <Edit key={now.record.id} record={opened.current} head={now.record.head} />
}

function OnlyReading({ record: { id } }: { record: RecordView }) {
  return (
    <div className={classes.page}>
      <Heading tab="Record">You may read this record, not write in it</Heading>
      <p className={classes.reading}>Ask one of its owners to make you a writer.</p>
      <KeptDraft id={id} />
      <p className={classes.reading}>
        <Link to="/records/$id" params={{ id }}>
          Back to the record
        </Link>
      </p>
    </div>
  )
}

/** Nothing is typed here that cannot be saved. What was typed before stays a draft, and is in the form again afterwards. */
function Waiting({ record }: { record: RecordView }) {
  const { id } = record
  const kept = useKeptDraft(draftName(id))
  return (
    <div className={classes.page}>
      <Heading tab="Edit">Edit {joined([record.firstName, record.lastName], " ")}</Heading>
      <div className={classes.others}>
        <Waits record={record} />
      </div>
      {kept !== "loading" && parseDraft(kept) !== null && (
        <p className={classes.reading}>
          What you typed here before is kept on this device, and is in the form again after that.
        </p>
      )}
      <p className={classes.reading}>
        <Link to="/records/$id" params={{ id }}>
          Back to the record
        </Link>
      </p>
    </div>
  )
}

interface Clash {
  readonly result: Extract<SaveResult, { saved: false }>
  readonly fields: PatientFields
  readonly base: number
  readonly leave: () => Promise<void>
}

function Edit({ record, head }: { record: RecordView; head: number }) {
  const { api } = useApp()
  const navigate = useNavigate()
  const { id } = record
  const name = draftName(id)
  const kept = useKeptDraft(name)
  const others = useOthers(record, head)
  const [clash, setClash] = useState<Clash | null>(null)

  const settle = async (
    result: SaveResult,
    { fields, base, leave }: Pick<Clash, "fields" | "base" | "leave">,
    merged: Merged,
  ) => {
    if (!result.saved) return setClash({ result, fields, base, leave })
    await leave()
    const state = result.merged ? { merged } : {}
    await navigate({ to: "/records/$id", params: { id }, state, replace: true })
  }
  const save = async (fields: PatientFields, base: number | null, leave: () => Promise<void>) => {
    const from = base ?? record.seq
    await settle(await api.save(id, from, fields), { fields, base: from, leave }, { kept: "both", author: others })
  }

  if (kept === "loading") return <Skeleton lines={5} heading />
  return (
    <div className={clash ? classes.wide : classes.page}>
      <Heading tab={clash ? "Two changes" : "Edit"}>
        {clash ? "Both of you changed this" : `Edit ${joined([record.firstName, record.lastName], " ")}`}
      </Heading>
      {clash && (
        <Conflict
          author={clash.result.author}
          fields={clash.result.fields}
          onChoose={async (choices) => {
            const { result, fields, base } = clash
            const merged = { kept: keptBy(choices), author: result.author }
            await settle(await api.resolve(id, base, fields, result.head, choices), clash, merged)
          }}
          onBack={() => setClash(null)}
        />
      )}
      {others && !clash && (
        <div className={classes.others}>
          <Notice tone="amber" live>
            {others} changed this record just now. When you save, both changes are kept; you will be asked where both
            changed the same.
          </Notice>
        </div>
      )}
      {!clash && (
        <div className={classes.others}>
          <Unreadable entries={record.unreadable.filter(({ keyBy }) => keyBy !== null)} />
        </div>
      )}
      <div hidden={clash !== null}>
        <PatientForm
          draftName={name}
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

/** Who else has written since the form was opened; "" where nobody has. */
function useOthers({ id, seq }: RecordView, head: number): string {
  const { api } = useApp()
  const account = useSession()
  const me = account.state === "signed-in" ? account.username : ""
  const { value } = useAnswer(`${id}/${head}`, async () => (head > seq ? api.history(id) : []))
  const authors = (value ?? []).filter((item) => item.seq > seq && item.author !== me).map(({ author }) => author)
  return [...new Set(authors)].join(", ")
}
