import { Button } from "@mantine/core"
import { useState } from "react"
import type { MemberView, SharingView } from "../../client/views.ts"
import type { PhysicianId } from "../../encoding/ids.ts"
import { useApp } from "../app.ts"
import { messageOf } from "../form-errors.ts"
import classes from "./confirm-readers.module.css"
import { Notice } from "./notice.tsx"
import { ColleagueName } from "./verified-mark.tsx"

/** After a restore of the server: an owner says who may read a record from now on. */
export function ConfirmReaders({ sharing, onDone }: { sharing: SharingView; onDone: (words: string) => void }) {
  const { api } = useApp()
  const { members } = sharing
  // Whoever comes to the list while it is looked at is proposed like the others.
  const [chosen, setChosen] = useState<ReadonlyMap<PhysicianId, boolean>>(new Map())
  const isKept = ({ you, colleague: { physician }, returned, keysChanged }: MemberView) =>
    you || (!keysChanged && (chosen.get(physician) ?? !returned))
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState("")
  const confirm = async () => {
    setBusy(true)
    setProblem("")
    try {
      const out = members.filter((member) => !isKept(member)).map(({ colleague }) => colleague.physician)
      const outcome = await api.confirmMembers(sharing, out)
      onDone(outcome === "done" ? "Confirmed, under a fresh key." : "Another owner has confirmed this list already.")
    } catch (error) {
      setProblem(messageOf(error))
      setBusy(false)
    }
  }
  return (
    <section>
      <h2>Confirm who may read this record</h2>
      <p className={classes.lead}>
        The server was put back to an earlier state: whoever was removed since is in this list again. Nothing can be
        written before you confirm it. Then the record goes on under a fresh key, for those who are ticked alone.
      </p>
      <ul className={classes.readers}>
        {members.map((member) => (
          <li key={member.colleague.physician}>
            <label>
              <input
                type="checkbox"
                checked={isKept(member)}
                disabled={member.you || member.keysChanged}
                onChange={({ currentTarget: { checked } }) =>
                  setChosen(new Map(chosen).set(member.colleague.physician, checked))
                }
              />
              <span className={classes.who}>
                <ColleagueName colleague={member.colleague} you={member.you} />
                {member.returned && (
                  <em>
                    You or another owner had removed {member.colleague.username}, or given them less, before the server
                    was put back.
                  </em>
                )}
                {member.keysChanged && (
                  <em>Their keys have changed since you verified them: no key can be given to them</em>
                )}
              </span>
              <span>{member.role}</span>
            </label>
          </li>
        ))}
      </ul>
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
      <Button onClick={confirm} loading={busy}>
        Confirm
      </Button>
    </section>
  )
}
