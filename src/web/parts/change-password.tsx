import { Button } from "@mantine/core"
import { useForm } from "@mantine/form"
import { useState } from "react"
import { newPasswordProblem, repeatProblem } from "../account-rules.ts"
import { useApp } from "../app.ts"
import { focusFirst, showErrors, wrongCurrent } from "../form-errors.ts"
import look from "./form.module.css"
import { NewPasswordFields } from "./new-password-fields.tsx"
import { Notice } from "./notice.tsx"
import { SecretField } from "./secret-field.tsx"

const names = ["current", "password", "confirm"]

export function ChangePassword({ username }: { username: string }) {
  const { api } = useApp()
  const [problem, setProblem] = useState("")
  const [done, setDone] = useState(false)
  const [busy, setBusy] = useState(false)
  const form = useForm({
    mode: "uncontrolled",
    initialValues: { current: "", password: "", confirm: "" },
    validate: {
      current: (value) => (value === "" ? "Enter your current password." : null),
      password: newPasswordProblem,
      confirm: (value, { password }) => repeatProblem(value, password),
    },
  })

  const submit = form.onSubmit(
    async ({ current, password }) => {
      setProblem("")
      setDone(false)
      setBusy(true)
      try {
        await api.changePassword(current, password)
        form.reset()
        setDone(true)
      } catch (error) {
        setProblem(showErrors(form, names, wrongCurrent("current", error)))
      }
      setBusy(false)
    },
    (errors) => focusFirst(form, names, errors),
  )

  return (
    <form className={look.form} onSubmit={submit} noValidate>
      {done && <Notice live>Your password is changed. Use the new one from now on.</Notice>}
      <input hidden type="text" name="username" autoComplete="username" value={username} readOnly />
      <SecretField
        label="Current password"
        autoComplete="current-password"
        key={form.key("current")}
        {...form.getInputProps("current")}
      />
      <NewPasswordFields form={form} what="New password" />
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
      <div className={look.buttons}>
        <Button type="submit" loading={busy}>
          Change password
        </Button>
      </div>
    </form>
  )
}
