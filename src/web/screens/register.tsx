import { Button, TextInput } from "@mantine/core"
import { useForm } from "@mantine/form"
import { Link, useNavigate } from "@tanstack/react-router"
import { useState } from "react"
import type { RecoverySheet } from "../../client/views.ts"
import { nameProblem, newPasswordProblem, repeatProblem, usernameProblem } from "../account-rules.ts"
import { useApp, useSession } from "../app.ts"
import { focusFirst, showErrors } from "../form-errors.ts"
import look from "../parts/form.module.css"
import { Heading } from "../parts/heading.tsx"
import { NewPasswordFields } from "../parts/new-password-fields.tsx"
import { Notice } from "../parts/notice.tsx"
import { Outside } from "../parts/outside.tsx"
import { RecoveryWords } from "../parts/recovery-words.tsx"
import { Redirect } from "../parts/redirect.tsx"
import { useLeavingCheck } from "../use-after-press.ts"

const names = ["username", "firstName", "lastName", "password", "confirm"]

export function RegisterScreen() {
  const { api } = useApp()
  const account = useSession()
  const navigate = useNavigate()
  const [sheet, setSheet] = useState<RecoverySheet | null>(null)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState("")
  const form = useForm({
    mode: "uncontrolled",
    initialValues: { username: "", firstName: "", lastName: "", password: "", confirm: "" },
    validate: {
      username: usernameProblem,
      firstName: (value) => nameProblem(value, "first"),
      lastName: (value) => nameProblem(value, "last"),
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
        <RecoveryWords sheet={sheet} onDone={done} />
      </Outside>
    )
  }
  if (account.state === "signed-in" && !busy) return <Redirect to="/" />

  const submit = form.onSubmit(
    async ({ username, firstName, lastName, password }) => {
      setProblem("")
      setBusy(true)
      try {
        const account = { username: username.trim(), firstName: firstName.trim(), lastName: lastName.trim(), password }
        setSheet(await api.register(account))
      } catch (error) {
        setProblem(showErrors(form, names, error))
      }
      setBusy(false)
    },
    (errors) => focusFirst(form, names, errors),
  )

  return (
    <Outside>
      <Heading tab="Create account">Create your account</Heading>
      <p className={look.lead}>Your keys are made on this device. The server never gets your password.</p>
      <form className={look.form} onSubmit={submit} onBlur={checkLeft} noValidate>
        <TextInput
          label="Username"
          description="What you sign in with, and what the server knows you by."
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          autoFocus
          key={form.key("username")}
          {...form.getInputProps("username")}
        />
        {/* Browsers write down what they may complete: a name that is sealed must not lie in their form history. */}
        <div className={look.pair}>
          <TextInput
            label="First name"
            autoComplete="off"
            key={form.key("firstName")}
            {...form.getInputProps("firstName")}
          />
          <TextInput
            label="Last name"
            autoComplete="off"
            key={form.key("lastName")}
            {...form.getInputProps("lastName")}
          />
        </div>
        <NewPasswordFields form={form} what="Password" />
        {problem && (
          <Notice tone="danger" live>
            {problem}
          </Notice>
        )}
        <Button type="submit" size="md" loading={busy} fullWidth>
          Create account
        </Button>
      </form>
      <div className={look.links}>
        <span>
          Already here? <Link to="/login">Sign in</Link>
        </span>
      </div>
    </Outside>
  )
}
