import { Button } from "@mantine/core"
import { type HistoryState, Link, useNavigate, useRouterState } from "@tanstack/react-router"
import { useEffect, useState } from "react"
import type { MemberView, Role, SharingView } from "../../client/views.ts"
import { AppError } from "../../errors.ts"
import { useApp } from "../app.ts"
import { ConfirmReaders } from "../parts/confirm-readers.tsx"
import { KeysChanged } from "../parts/keys-changed.tsx"
import { ChangeMember, goesToo, LeaveRecord, RemoveMember } from "../parts/member-dialogs.tsx"
import { MemberList } from "../parts/member-list.tsx"
import { Notice } from "../parts/notice.tsx"
import { RetryNotice } from "../parts/retry-notice.tsx"
import { ShareForm } from "../parts/share-form.tsx"
import { Skeleton } from "../parts/skeleton.tsx"
import { waitsFor } from "../parts/waits.tsx"
import { useOpenRecord } from "../record-context.ts"
import { emptyShare, termsOf } from "../share-draft.ts"
import { useAnswer } from "../use-answer.ts"
import classes from "./sharing.module.css"

/** What is asked before it is done. */
type Question = { readonly what: "change" | "remove"; readonly member: MemberView } | { readonly what: "leave" }

export function SharingTab() {
  const { api } = useApp()
  const { record, reload: reloadRecord } = useOpenRecord()
  const { id, head } = record
  const { value: sharing, error, reload } = useAnswer(id, () => api.sharing(id))
  const [seen, setSeen] = useState(head)
  // The record has moved on: perhaps its members have.
  if (seen !== head) {
    setSeen(head)
    reload()
  }
  // What does not check is told by the record's own page.
  const tampered = error?.is("TAMPERED") === true
  useEffect(() => {
    if (tampered) reloadRecord()
  }, [tampered, reloadRecord])
  if (!sharing) return error ? <RetryNotice error={error} onRetry={reload} /> : <Skeleton lines={3} />
  const changed = () => {
    reload()
    reloadRecord()
  }
  return <Sharing key={id} sharing={sharing} onChange={changed} />
}

function Sharing({ sharing, onChange }: { sharing: SharingView; onChange: () => void }) {
  const { api, work } = useApp()
  const { id, mayShare, mayLeave, members } = sharing
  const draft = useRouterState({ select: (state) => state.location.state.share })
  const navigate = useNavigate()
  const [question, setQuestion] = useState<Question | null>(null)
  const [done, setDone] = useState("")
  const [turn, setTurn] = useState(0)

  /** Shares, or changes what a member has already. Throws what the server or the client says against it.
   * @returns whether it was so already */
  const share = async (username: string, role: Role, until: number | null, mode: "add" | "set") => {
    setDone("")
    work.set("saving")
    let already = false
    try {
      const report = await api.share([id], username, role, until, mode, () => {})
      const [refusal] = report.refused
      if (refusal) throw new AppError(refusal.code, refusal.message)
      already = report.already > 0
    } finally {
      work.set("")
    }
    onChange()
    return already
  }
  const close = () => setQuestion(null)
  const say = (state: HistoryState) => navigate({ to: "/records/$id/sharing", params: { id }, state, replace: true })
  const finish = (words: string) => {
    close()
    setDone(words)
    onChange()
  }

  return (
    <div className={classes.page}>
      {sharing.confirmFirst && !mayShare && (
        <Notice tone="amber">{waitsFor(ownersOf(members.filter(({ returned }) => !returned)))}</Notice>
      )}
      <KeysChanged
        usernames={members
          .filter(({ keysChanged }) => keysChanged)
          .map(usernameOf)
          .sort()}
        role={sharing.role}
      />
      {sharing.keyChanges && (
        <Notice>
          Somebody has left, or declined the invitation. The record’s key changes with the next entry of an owner or a
          writer, so that what comes after can’t be opened with the old one.
        </Notice>
      )}
      {sharing.confirmFirst && mayShare ? (
        <ConfirmReaders sharing={sharing} onDone={finish} />
      ) : (
        <section>
          <h2>Who can read this record</h2>
          <MemberList
            id={id}
            members={members}
            mayChange={mayShare}
            onAsk={(what, member) => setQuestion({ what, member })}
          />
          {done && (
            <div className={classes.done}>
              <Notice live>{done}</Notice>
            </div>
          )}
        </section>
      )}
      {sharing.confirmFirst ? null : mayShare ? (
        <section className={classes.section}>
          <h2>Share with a colleague</h2>
          <p className={classes.lead}>
            They get an invitation, and with it the keys of everything written so far. What they have read can’t be
            unread later.
          </p>
          <ShareForm
            key={turn}
            initial={turn === 0 ? (draft ?? emptyShare) : emptyShare}
            back={(now) => ({ to: "/records/$id/sharing", id, draft: now })}
            action="Share"
            onShare={async (username, role, until) => {
              const member = members.find(({ colleague }) => colleague.username === username)
              const already = await share(username, role, until, "add")
              setTurn(turn + 1)
              // What became of it stands beside the members.
              window.scrollTo(0, 0)
              setDone(
                already
                  ? `${username} has this record already. To change what they may do, choose “Change” beside their name.`
                  : member
                    ? `What ${username} may do is changed.`
                    : `Shared ${termsOf({ username, role, until })}. The record joins their patients once they accept the invitation.`,
              )
            }}
          />
        </section>
      ) : (
        <p className={classes.lead}>Only an owner can share this record, or change who reads it.</p>
      )}
      <section className={classes.section}>
        <h2>Leave this record</h2>
        {mayLeave ? (
          <>
            <p className={classes.lead}>It goes from your patients. An owner can invite you again.</p>
            <Button className={classes.leave ?? ""} variant="default" onClick={() => setQuestion({ what: "leave" })}>
              Leave…
            </Button>
          </>
        ) : (
          <p className={classes.lead}>{whyStay(members, sharing.confirmFirst)}</p>
        )}
      </section>
      <p className={classes.foot}>
        <Link to="/colleagues">Colleagues and their safety numbers</Link>
      </p>
      {question?.what === "change" && (
        <ChangeMember
          member={question.member}
          onClose={close}
          onSave={async (role, until) => {
            const { username } = question.member.colleague
            await share(username, role, until, "set")
            finish(`What ${username} may do is changed.`)
          }}
        />
      )}
      {question?.what === "remove" && (
        <RemoveMember
          username={question.member.colleague.username}
          accepted={question.member.accepted}
          also={goesToo(members, question.member.colleague.physician)}
          onClose={close}
          onRemove={async () => {
            const { physician, username } = question.member.colleague
            const also = await api.unshare(id, physician)
            const all = also.length === 0 ? `${username} is` : `${[username, ...also].join(", ")} are`
            finish(`${all} removed. What comes from now on has a key that they do not get.`)
          }}
        />
      )}
      {question?.what === "leave" && (
        <LeaveRecord
          owners={ownersOf(members.filter(({ you, accepted }) => !you && accepted))}
          onClose={close}
          onLeave={async () => {
            // Said before it is done: the page that tells of it may come before the answer does.
            await say({ left: true })
            try {
              await api.leave(id)
            } catch (error) {
              await say({})
              throw error
            }
            close()
            onChange()
          }}
        />
      )}
    </div>
  )
}

const usernameOf = ({ colleague }: MemberView) => colleague.username

function ownersOf(members: readonly MemberView[]): readonly string[] {
  return members.filter(({ role }) => role === "owner").map(usernameOf)
}

/** Why the physician can't leave, and what would let them. */
function whyStay(members: readonly MemberView[], confirmFirst: boolean): string {
  const others = members.filter(({ you, role }) => !you && role === "owner")
  const waiting = ownersOf(others.filter(({ accepted, until }) => !accepted && until === null))
  if (waiting.length > 0) {
    return waiting.length === 1
      ? `You can’t leave yet: ${waiting[0]} is to be an owner, but has not accepted the invitation. Until then you are the only one who decides who reads this record.`
      : `You can’t leave yet: ${waiting.join(", ")} are to be owners, but nobody has accepted the invitation. Until one of them has, you are the only one who decides who reads this record.`
  }
  return `You are its only owner${others.length > 0 ? " without a last day" : ""}, so you can’t leave: somebody has to decide who reads it. ${confirmFirst ? "Confirm who can read it; after that you can make a colleague an owner." : "Make a colleague an owner first."}`
}
