import { Button } from "@mantine/core"
import { useForm } from "@mantine/form"
import { useState } from "react"
import type { RecoverySheet } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { showErrors, wrongCurrent } from "../form-errors.ts"
import look from "./form.module.css"
import classes from "./new-words.module.css"
import { Notice } from "./notice.tsx"
import { RecoveryWords } from "./recovery-words.tsx"
import { SecretField } from "./secret-field.tsx"

/** Makes fresh recovery words; the old ones stop working at once. */
export function NewWords({ confirmed }: { confirmed: boolean }) {
  const { api } = useApp()
  const [sheet, setSheet] = useState<RecoverySheet | null>(null)
  const [asking, setAsking] = useState(false)
  const [done, setDone] = useState(false)
  const [busy, setBusy] = useState(false)
  const form = useForm({
    mode: "uncontrolled",
    initialValues: { password: "" },
    validate: { password: (value) => (value === "" ? "Enter your password." : null) },
  })

  const submit = form.onSubmit(
    async ({ password }) => {
      setBusy(true)
      try {
        setSheet(await api.newWords(password))
        setAsking(false)
      } catch (error) {
        const problem = showErrors(form, ["password"], wrongCurrent("password", error))
        if (problem) form.setFieldError("password", problem)
        form.getInputNode("password")?.focus()
      }
      setBusy(false)
    },
    () => form.getInputNode("password")?.focus(),
  )

  if (sheet) {
    const finish = async () => {
      await api.confirmWords()
      setSheet(null)
      setDone(true)
    }
    return (
      <div className={classes.sheet}>
        <RecoveryWords sheet={sheet} level={2} onDone={finish} />
      </div>
    )
  }
  return (
    <>
      <p className={classes.lead}>
        {confirmed
          ? "New words replace the ones you have, which stop working at once."
          : "Your recovery words are not confirmed. Make new ones, print them, and type three of them."}
      </p>
      {done && <Notice live>Your new recovery words are in force. The old ones no longer work.</Notice>}
      {asking ? (
        <form className={look.form} onSubmit={submit} noValidate>
          <SecretField
            label="Your password"
            autoComplete="current-password"
            key={form.key("password")}
            {...form.getInputProps("password")}
          />
          <div className={look.buttons}>
            <Button type="submit" loading={busy}>
              Make new words
            </Button>
            <Button variant="subtle" onClick={() => setAsking(false)}>
              Cancel
            </Button>
          </div>
        </form>
      ) : (
        <Button className={classes.start ?? ""} variant="default" onClick={() => setAsking(true)}>
          New recovery words
        </Button>
      )}
    </>
  )
}
