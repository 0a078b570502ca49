import { Button, TextInput } from "@mantine/core"
import { useForm } from "@mantine/form"
import { useNavigate } from "@tanstack/react-router"
import { useState } from "react"
import type { Account, AfterRestore, LostRecord, WaitingRecord, WentBack } from "../../client/views.ts"
import { newPasswordProblem, repeatProblem } from "../account-rules.ts"
import { useApp } from "../app.ts"
import { focusFirst, showErrors } from "../form-errors.ts"
import { joined } from "../shown.ts"
import { useLeavingCheck } from "../use-after-press.ts"
import look from "./form.module.css"
import { Heading } from "./heading.tsx"
import { NewPasswordFields } from "./new-password-fields.tsx"
import { Notice } from "./notice.tsx"
import { Outside } from "./outside.tsx"
import { RecoveryWords } from "./recovery-words.tsx"
import classes from "./restored.module.css"
import { SaveLost } from "./save-lost.tsx"
import { Elsewhere, UnsentList } from "./unsent.tsx"

const names = ["code", "password", "confirm"]

type RestoredAccount = Extract<Account, { state: "restored" }>

/** The server was put back to an earlier state: what that takes back, and a field for the code of whoever restored it. The code that is
 * expected is never shown. */
export function Restored({ account }: { account: RestoredAccount }) {
  const { api, session, signOut } = useApp()
  const { back, confirmed } = account
  const [problem, setProblem] = useState("")
  const [busy, setBusy] = useState(false)
  const [after, setAfter] = useState<AfterRestore | null>(null)
  const [wordsKept, setWordsKept] = useState(false)
  const navigate = useNavigate()
  const enter = async (to?: "/confirm") => {
    session.set(await api.enterRestored())
    if (after?.sheet) await api.confirmWords()
    if (to) await navigate({ to })
  }

  const needsPassword = back.renew.includes("password")
  const form = useForm({
    mode: "uncontrolled",
    initialValues: { code: "", password: "", confirm: "" },
    validate: {
      code: (value) => (confirmed || value.trim() !== "" ? null : "Type the code of 30 digits."),
      password: (value) => (needsPassword ? newPasswordProblem(value) : null),
      confirm: (value, { password }) => (needsPassword ? repeatProblem(value, password) : null),
    },
  })
  const checkLeft = useLeavingCheck(form)

  if (after?.sheet && !wordsKept)
    return (
      <Outside wide>
        <RecoveryWords sheet={after.sheet} onDone={async () => setWordsKept(true)} />
      </Outside>
    )
  if (after) return <SentAgain after={after} onDone={enter} />

  const submit = form.onSubmit(
    async ({ code, password }) => {
      setBusy(true)
      setProblem("")
      try {
        setAfter(await api.confirmRestore(code, password))
      } catch (error) {
        setProblem(showErrors(form, names, error))
      }
      setBusy(false)
    },
    (errors) => focusFirst(form, names, errors),
  )
  return (
    <Outside wide>
      <Heading tab="Server restored">The server was put back to an earlier state</Heading>
      <p className={look.lead}>{confirmed ? whatIsLeft(back) : whatToDo(back.time)}</p>
      <h2 className={classes.title}>What goes back</h2>
      {back.records.length === 0 ? (
        <p className={look.lead}>Nothing that this device has seen.</p>
      ) : (
        <ul className={classes.list}>
          {back.records.map((record) => (
            <li key={record.id}>
              <strong>{record.name || "A record without a name"}</strong>
              <span>{lossOf(record)}</span>
            </li>
          ))}
        </ul>
      )}
      {back.own > 0 && (
        <>
          <p className={look.lead}>
            {back.own === 1 ? "One of these entries is yours" : `${back.own} of these entries are yours`}, and this
            device sends again what it can{confirmed ? "" : ", once you have confirmed the restore"}.
          </p>
          <SaveLost />
        </>
      )}
      <form className={look.form} onSubmit={submit} onBlur={checkLeft} noValidate>
        {!confirmed && (
          <TextInput
            label="Code of the restore"
            description="30 digits, in groups of five"
            classNames={{ input: classes.code ?? "" }}
            inputMode="numeric"
            autoComplete="off"
            spellCheck={false}
            key={form.key("code")}
            {...form.getInputProps("code")}
          />
        )}
        {needsPassword && (
          <>
            {!confirmed && (
              <p className={classes.renew}>
                You changed your password since, and the old one counts again. Choose a new one.
              </p>
            )}
            <NewPasswordFields form={form} what="New password" />
          </>
        )}
        {problem && (
          <Notice tone="danger" live>
            {problem}
          </Notice>
        )}
        <div className={look.buttons}>
          <Button type="submit" size="md" loading={busy}>
            {!confirmed ? "Confirm the restore" : back.renew.length > 0 ? "Change and go on" : "Go on"}
          </Button>
          <Button variant="default" size="md" onClick={() => void signOut()}>
            Sign out
          </Button>
        </div>
      </form>
    </Outside>
  )
}

interface SentAgainProps {
  after: AfterRestore
  onDone: (to?: "/confirm") => Promise<void>
}

function SentAgain({ after: { sent, waits }, onDone }: SentAgainProps) {
  const [busy, setBusy] = useState(false)
  const mine = waits.filter((one) => one.mine)
  const go = (to?: "/confirm") => {
    setBusy(true)
    onDone(to).catch(() => setBusy(false))
  }
  return (
    <Outside wide>
      <Heading tab="Server restored">The restore is confirmed</Heading>
      {sent === null ? (
        <p className={look.lead}>
          Not all entries of yours could be sent again now. The rest is sent when you go on, or sign in again.
        </p>
      ) : (
        <WhatWasSent sent={sent} />
      )}
      <Waiting records={mine} who="you have" />
      <Waiting records={waits.filter((one) => !one.mine)} who="their owners have" />
      <div className={classes.go}>
        {mine.length > 0 && (
          <Button size="md" loading={busy} onClick={() => go("/confirm")}>
            Confirm who can read {mine.length === 1 ? "it" : "them"}
          </Button>
        )}
        <Button size="md" variant={mine.length > 0 ? "default" : "filled"} loading={busy} onClick={() => go()}>
          Go to your patients
        </Button>
      </div>
    </Outside>
  )
}

const atOnce = 8

/** Records that take nothing until somebody has confirmed who can read them. */
function Waiting({ records, who }: { records: readonly WaitingRecord[]; who: string }) {
  if (records.length === 0) return null
  const more = records.length - atOnce
  return (
    <>
      <p className={look.lead}>
        {records.length === 1
          ? `One record waits until ${who} confirmed who can read it:`
          : `${records.length.toLocaleString()} records wait until ${who} confirmed who can read them:`}
      </p>
      <ul className={classes.list}>
        {records.slice(0, atOnce).map(({ id, firstName, lastName, members, mine }) => (
          <li key={id}>
            <strong>{joined([lastName, firstName], ", ") || "A record without a name"}</strong>
            {!mine && <span>{ownersOf(members)}</span>}
          </li>
        ))}
        {more > 0 && <li>and {more.toLocaleString()} more</li>}
      </ul>
    </>
  )
}

function ownersOf(members: WaitingRecord["members"]): string {
  const owners = members.filter(({ role, returned }) => role === "owner" && !returned)
  return owners.length === 0 ? "" : `of ${owners.map(({ colleague }) => colleague.username).join(", ")}`
}

function WhatWasSent({ sent }: { sent: NonNullable<AfterRestore["sent"]> }) {
  const again = sent.unchanged + sent.anew
  return (
    <>
      {again > 0 && (
        <p className={look.lead}>
          {again === 1 ? "One entry of yours was" : `${again} entries of yours were`} sent again.
        </p>
      )}
      <Elsewhere elsewhere={sent.elsewhere} />
      {sent.waiting > 0 && (
        <p className={look.lead}>
          {sent.waiting === 1 ? "One entry waits" : `${sent.waiting} entries wait`} on this device until an owner has
          confirmed who can read the record.
        </p>
      )}
      {sent.left.length > 0 && (
        <>
          <p className={look.lead}>
            {sent.left.length === 1 ? "One could not be sent" : `${sent.left.length} could not be sent`}, and stays on
            this device:
          </p>
          <UnsentList left={sent.left} />
        </>
      )}
      {(sent.waiting > 0 || sent.left.some(({ hasContent }) => hasContent)) && <SaveLost />}
    </>
  )
}

function whatToDo(time: number): string {
  return (
    `The server says that it was restored on ${dayOf(time)}. Call the person who runs it, by a number that you know. ` +
    "If they did this, they read you a code of 30 digits. Without it, sign out and change nothing."
  )
}

/** Once the restore is confirmed, here or on another device. */
function whatIsLeft({ renew }: WentBack): string {
  return renew.length > 0
    ? "You have confirmed this. Your old password or words count again, so change them first."
    : "You have confirmed this on another device."
}

function lossOf({ had, has, returned, accept }: LostRecord): string {
  if (accept) return "that you accepted it: you find it under Invitations, to accept once more"
  const lost = had - has
  const entries = has === 0 ? "the whole record" : lost === 1 ? "1 entry" : lost === 0 ? "no entry" : `${lost} entries`
  return returned.length === 0 ? entries : `${entries}; ${returned.join(", ")} can read it again`
}

function dayOf(time: number): string {
  return new Date(time).toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" })
}
