import { Button } from "@mantine/core"
import { type ReactNode, useRef, useState } from "react"
import type { MemberView, Role } from "../../client/views.ts"
import { dayOf, endOfDay } from "../../clinical/days.ts"
import type { PhysicianId } from "../../encoding/ids.ts"
import { roles } from "../share-draft.ts"
import { useProblem } from "../use-problem.ts"
import { Dialog } from "./dialog.tsx"
import look from "./form.module.css"
import { LastDay, lastDayProblem } from "./last-day.tsx"
import { Notice } from "./notice.tsx"
import { SelectField } from "./select-field.tsx"

interface AskProps {
  title: string
  action: string
  danger?: boolean
  onClose: () => void
  onDo: () => Promise<void>
  children: ReactNode
}

/** A question, the deed, and what went wrong with it. */
function Ask({ title, action, danger = false, onClose, onDo, children }: AskProps) {
  const [busy, setBusy] = useState(false)
  const { problem, fail, clear } = useProblem()
  const act = async () => {
    setBusy(true)
    clear()
    try {
      await onDo()
    } catch (error) {
      fail(error)
    }
    setBusy(false)
  }
  return (
    <Dialog
      title={title}
      onClose={onClose}
      actions={
        <>
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button {...(danger ? { color: "red" } : {})} loading={busy} onClick={() => void act()}>
            {action}
          </Button>
        </>
      }
    >
      {children}
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
    </Dialog>
  )
}

interface ChangeMemberProps {
  member: MemberView
  onClose: () => void
  onSave: (role: Role, until: number | null) => Promise<void>
}

export function ChangeMember({ member, onClose, onSave }: ChangeMemberProps) {
  const [role, setRole] = useState(member.role)
  const [until, setUntil] = useState(member.until === null ? "" : dayOf(member.until))
  const [wrong, setWrong] = useState<string | null>(null)
  const field = useRef<HTMLInputElement>(null)
  const save = async () => {
    const problem = lastDayProblem(field.current)
    setWrong(problem)
    // A day that was not touched stays the moment that it was, whatever the time zone here.
    const end = member.until !== null && until === dayOf(member.until) ? member.until : endOfDay(until)
    if (problem === null) await onSave(role, role === "owner" ? null : end)
    else field.current?.focus()
  }
  return (
    <Ask title={`What ${member.colleague.username} may do`} action="Save" onClose={onClose} onDo={save}>
      <div className={look.form}>
        <SelectField
          label="Role"
          value={role}
          onChange={setRole}
          options={roles.map(({ role: value, label, may }) => ({ value, label: `${label}: ${may}` }))}
        />
        {role === "owner" ? (
          <p>
            An owner decides like you who reads this record, and can remove you. This passes ownership on
            {member.accepted ? "." : ", once they have accepted the invitation."}
          </p>
        ) : (
          <LastDay
            field={field}
            value={until}
            error={wrong}
            onChange={(event) => setUntil(event.currentTarget.value)}
          />
        )}
      </div>
    </Ask>
  )
}

interface RemoveMemberProps {
  username: string
  /** Whether they have taken the record up. */
  accepted?: boolean
  /** Who goes, too, because their keys have changed. */
  also: readonly string[]
  onClose: () => void
  onRemove: () => Promise<void>
}

/** Who is removed with a member: all whose keys have changed. */
export function goesToo(members: readonly MemberView[], physician: PhysicianId): readonly string[] {
  return members
    .filter(({ keysChanged, colleague }) => keysChanged && colleague.physician !== physician)
    .map(({ colleague }) => colleague.username)
}

export function RemoveMember({ username, accepted = true, also, onClose, onRemove }: RemoveMemberProps) {
  return (
    <Ask title={`Remove ${username}?`} action="Remove" danger onClose={onClose} onDo={onRemove}>
      {accepted
        ? `What ${username} has already read can’t be unread. They cannot open anything written from now on.`
        : `${username} has not accepted the invitation. It is taken back, and they cannot open anything written from now on.`}
      {also.length > 0 &&
        ` Removed with them: ${also.join(", ")}. Their keys have changed since you verified them, so that the record’s new key cannot be given to them. You can share the record with them again once you have compared your safety number.`}
    </Ask>
  )
}

interface LeaveRecordProps {
  /** Who else owns it, and has accepted that; empty where that is not known. */
  owners?: readonly string[]
  onClose: () => void
  onLeave: () => Promise<void>
}

export function LeaveRecord({ owners = [], onClose, onLeave }: LeaveRecordProps) {
  return (
    <Ask title="Leave this record?" action="Leave" danger onClose={onClose} onDo={onLeave}>
      You will not be able to open it any more, unless an owner invites you again. What you wrote in it stays.
      {owners.length > 0 && ` From then on it belongs to ${owners.join(", ")}.`}
    </Ask>
  )
}
