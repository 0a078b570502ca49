import { Button } from "@mantine/core"
import { useForm } from "@mantine/form"
import { useEffect, useState } from "react"
import type { Account } from "../../client/views.ts"
import { AppError, errors } from "../../errors.ts"
import { useApp } from "../app.ts"
import { draftsPrefix, sealedStorage } from "../browser-storage.ts"
import { messageOf } from "../form-errors.ts"
import look from "./form.module.css"
import { Heading } from "./heading.tsx"
import classes from "./locked.module.css"
import { Notice } from "./notice.tsx"
import { SecretField } from "./secret-field.tsx"
import { Wordmark } from "./wordmark.tsx"

type LockedAccount = Extract<Account, { state: "locked" }>

const why: Record<LockedAccount["reason"], string> = {
  idle: "Locked because nothing was done here for a while.",
  asked: "You locked this device.",
  reload: "The page was loaded again, so your keys have to be opened again.",
  ended: "Your session has ended.",
  suspended:
    "Whoever runs the server has suspended this account, so you were signed out. Nothing of it was deleted. Ask them; once they let you in again, your password opens it as before.",
}

export function Locked({ account }: { account: LockedAccount }) {
  const { api, session, signOut } = useApp()
  const [busy, setBusy] = useState(false)
  const form = useForm({
    mode: "uncontrolled",
    initialValues: { password: "" },
    validate: { password: (value) => (value === "" ? "Enter your password." : null) },
  })
  const [problem, setProblem] = useState("")
  // A suspension that an attempt did not meet may be over: no word about it stands beside another answer.
  const [otherAnswer, setOtherAnswer] = useState(false)
  const drafts = useDraftsKept()

  const submit = form.onSubmit(
    async ({ password }) => {
      setProblem("")
      setBusy(true)
      try {
        session.set(await api.signIn(account.username, password))
      } catch (error) {
        setOtherAnswer(wrongPassword(error))
        setProblem(wrongPassword(error) ? notYours(messageOf(error)) : messageOf(error))
        setBusy(false)
        form.getInputNode("password")?.focus()
      }
    },
    () => form.getInputNode("password")?.focus(),
  )

  return (
    <div className={classes.page}>
      <header className={classes.top}>
        <Wordmark />
        <span role="status">Locked</span>
      </header>
      <main className={classes.main}>
        <Heading tab="Locked">{account.username}</Heading>
        <p className={look.lead}>
          {!(account.reason === "suspended" && otherAnswer) && why[account.reason]}
          {drafts && " Anything you were typing is kept, sealed."}
        </p>
        <form className={look.form} onSubmit={submit} noValidate>
          {problem && (
            <Notice tone="danger" live>
              {problem}
            </Notice>
          )}
          <input hidden type="text" name="username" autoComplete="username" value={account.username} readOnly />
          <SecretField
            label="Password"
            autoComplete="current-password"
            autoFocus
            key={form.key("password")}
            {...form.getInputProps("password")}
          />
          <Button type="submit" size="md" loading={busy} fullWidth>
            Unlock
          </Button>
          <Button
            variant="subtle"
            size="md"
            onClick={() => void signOut().catch(() => session.set({ state: "signed-out" }))}
          >
            Sign in as somebody else
          </Button>
        </form>
      </main>
    </div>
  )
}

/** Whether this browser keeps anything that was typed. Whose it is, and what, only the worker can tell, once it is unlocked. */
function useDraftsKept(): boolean {
  const [kept, setKept] = useState(false)
  useEffect(() => {
    let gone = false
    sealedStorage()
      .list(draftsPrefix)
      .then(
        (names) => !gone && setKept(names.length > 0),
        () => {},
      )
    return () => {
      gone = true
    }
  }, [])
  return kept
}

/** The username is not in question here; what the server says of a restore is. */
function notYours(message: string): string {
  return message.replace(errors.NOT_ALLOWED_SIGN_IN[1], "This is not your password. Try again.")
}

function wrongPassword(error: unknown): boolean {
  return error instanceof AppError && error.code === "NOT_ALLOWED_SIGN_IN"
}
