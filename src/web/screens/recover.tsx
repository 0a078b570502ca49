import { Button, Textarea, TextInput } from "@mantine/core"
import { useForm } from "@mantine/form"
import { Link, useNavigate } from "@tanstack/react-router"
import { useState } from "react"
import type { RecoverySheet } from "../../client/views.ts"
import { AppError } from "../../errors.ts"
import { newPasswordProblem, repeatProblem, tidyWords, usernameProblem, wordsProblem } from "../account-rules.ts"
import { useApp, useSession } from "../app.ts"
import { focusFirst, showErrors } from "../form-errors.ts"
import look from "../parts/form.module.css"
import { Heading } from "../parts/heading.tsx"
import { NewPasswordFields } from "../parts/new-password-fields.tsx"
import { Notice } from "../parts/notice.tsx"
import { Outside } from "../parts/outside.tsx"
import { RecoveryWords } from "../parts/recovery-words.tsx"
import { Redirect } from "../parts/redirect.tsx"
import { Restored } from "../parts/restored.tsx"
import { useLeavingCheck } from "../use-after-press.ts"

const names = ["username", "words", "password", "confirm"]

export function RecoverScreen() {
  const { api } = useApp()
  const account = useSession()
  const navigate = useNavigate()
  const [sheet, setSheet] = useState<RecoverySheet | null>(null)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState("")
  /** The newest keyring does not open: the same once more takes an earlier one. */
  const [damaged, setDamaged] = useState(false)
  const form = useForm({
    mode: "uncontrolled",
    initialValues: { username: "", words: "", password: "", confirm: "" },
    validate: {
      username: usernameProblem,
      words: wordsProblem,
      password: newPasswordProblem,
      confirm: (value, { password }) => repeatProblem(value, password),
    },
  })
  const checkLeft = useLeavingCheck(form)

  if (sheet) {
    const done = async () => {
      await api.confirmWords()
      await navigate({ to: "/", replace: true })
    }
    return (
      <Outside wide>
        <Notice>Your new password is set. The old words are used up: here are new ones.</Notice>
        <br />
        <RecoveryWords sheet={sheet} onDone={done} />
      </Outside>
    )
  }
  if (account.state === "restored") return <Restored account={account} />
  if (account.state === "signed-in" && !busy) return <Redirect to="/" />

  const submit = form.onSubmit(
    async ({ username, words, password }) => {
      setProblem("")
      setBusy(true)
      try {
        setSheet(await api.recover(username.trim(), tidyWords(words), password, damaged))
      } catch (error) {
        setProblem(showErrors(form, names, error))
        setDamaged(error instanceof AppError && error.code === "CANNOT_OPEN")
      }
      setBusy(false)
    },
    (errors) => focusFirst(form, names, errors),
  )

  return (
    <Outside>
      <Heading tab="Recover account">Choose a new password</Heading>
      <p className={look.lead}>You need the 24 recovery words from your sheet. Your records stay as they are.</p>
      <form className={look.form} onSubmit={submit} onBlur={checkLeft} noValidate>
        <TextInput
          label="Username"
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          autoFocus
          key={form.key("username")}
          {...form.getInputProps("username")}
        />
        <Textarea
          label="Recovery words"
          description="All 24 in their order, with spaces or line breaks between them."
          rows={5}
          autoComplete="off"
          autoCapitalize="none"
          autoCorrect="off"
          spellCheck={false}
          key={form.key("words")}
          {...form.getInputProps("words")}
        />
        <NewPasswordFields form={form} what="New password" />
        {problem && (
          <Notice tone="danger" live>
            {problem}
            {damaged && " Nobody counts as verified afterwards, and the list of your records is made anew."}
          </Notice>
        )}
        <Button type="submit" size="md" loading={busy} fullWidth>
          {damaged ? "Set new password, with an earlier keyring" : "Set new password"}
        </Button>
      </form>
      <div className={look.links}>
        <span>
          Remembered it? <Link to="/login">Sign in</Link>
        </span>
      </div>
    </Outside>
  )
}
