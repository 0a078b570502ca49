import { Button } from "@mantine/core"
import { useNavigate } from "@tanstack/react-router"
import { useState } from "react"
import type { TamperedView } from "../../client/views.ts"
import { useApp } from "../app.ts"
import type { RecordId } from "../record-id.ts"
import { saveFile } from "../save-file.ts"
import { useAnswer } from "../use-answer.ts"
import classes from "./false-key.module.css"
import { Heading } from "./heading.tsx"
import { goesToo, LeaveRecord, RemoveMember } from "./member-dialogs.tsx"
import look from "./tampered.module.css"

interface FalseKeyProps {
  id: RecordId
  view: TamperedView
  by: NonNullable<TamperedView["by"]>
  onDone: () => void
}

/** A colleague changed a record's key and signed one for this physician that does not open: the one refusal that an owner can end. */
export function FalseKey({ id, view, by: { physician, label, mayRemove }, onDone }: FalseKeyProps) {
  const { api } = useApp()
  const navigate = useNavigate()
  const [asked, setAsked] = useState<"remove" | "leave" | null>(null)
  const sharing = useAnswer(id, () => api.sharing(id))
  const close = () => setAsked(null)
  return (
    <div className={look.page} data-inside>
      <div className={look.sheet}>
        <p className={look.code}>
          {view.code} · record {id.slice(0, 6)}
        </p>
        <Heading tab="Stopped">{label} gave you a key that does not open this record</Heading>
        <p className={look.lead}>Healthcrypt has stopped here and changed nothing. Your other records go on working.</p>
        <dl className={look.facts}>
          <dt>Expected</dt>
          <dd>{view.expected}</dd>
          <dt>Found</dt>
          <dd>{view.found}</dd>
          <dt>What it may mean</dt>
          <dd>
            A fault in their program, or an attempt to keep you out. The signature says that it comes from {label} and
            not from the server.
          </dd>
          <dt>What you can do</dt>
          <dd>
            {mayRemove
              ? `Call ${label}. As an owner you can remove them: everybody else gets a fresh key, and the record goes on. What was written in between may stay closed to you; the history names it.`
              : `Call ${label}, and an owner of this record: an owner can remove ${label}, and the record goes on. Or leave the record.`}
          </dd>
        </dl>
        <div className={classes.actions}>
          {mayRemove ? (
            <Button size="md" color="red" onClick={() => setAsked("remove")}>
              Remove {label}…
            </Button>
          ) : (
            <Button size="md" variant="default" onClick={() => setAsked("leave")}>
              Leave the record…
            </Button>
          )}
          <Button
            size="md"
            variant="default"
            onClick={() => saveFile("healthcrypt-evidence.txt", "text/plain", view.evidence)}
          >
            Save the evidence
          </Button>
        </div>
        <p className={look.note}>The evidence holds signed statements and hashes, nothing of a patient.</p>
      </div>
      {asked === "remove" && (
        <RemoveMember
          username={label}
          also={goesToo(sharing.value?.members ?? [], physician)}
          onClose={close}
          onRemove={async () => {
            await api.unshare(id, physician)
            onDone()
          }}
        />
      )}
      {asked === "leave" && (
        <LeaveRecord
          onClose={close}
          onLeave={async () => {
            await api.leave(id)
            await navigate({ to: "/" })
          }}
        />
      )}
    </div>
  )
}
