import { Button, TextInput } from "@mantine/core"
import { useForm } from "@mantine/form"
import { Link, useNavigate } from "@tanstack/react-router"
import { useState } from "react"
import { AppError } from "../../errors.ts"
import { cleanUsername, usernameProblem } from "../account-rules.ts"
import { useApp, useSession } from "../app.ts"
import { showDay } from "../dates.ts"
import { focusFirst, messageOf } from "../form-errors.ts"
import { Heading } from "../parts/heading.tsx"
import { Notice } from "../parts/notice.tsx"
import { RetryNotice } from "../parts/retry-notice.tsx"
import { Skeleton } from "../parts/skeleton.tsx"
import { ColleagueName } from "../parts/verified-mark.tsx"
import { useAnswer } from "../use-answer.ts"
import classes from "./colleagues.module.css"

export function ColleaguesScreen() {
  const { api } = useApp()
  const { value: colleagues, error, reload } = useAnswer("colleagues", () => api.colleagues())
  return (
    <div className={classes.page}>
      <Heading tab="Colleagues">Colleagues</Heading>
      <p className={classes.lead}>
        Before you share a record, you and your colleague compare a number. It tells whether the keys that the server
        names as theirs really are theirs.
      </p>
      <Find />
      {error && <RetryNotice error={error} onRetry={reload} />}
      {!colleagues && !error && <Skeleton lines={4} />}
      {colleagues?.length === 0 && (
        <p className={classes.none}>
          Nobody yet. Find a colleague by username; with whom you have a record in common is listed here too.
        </p>
      )}
      <ul className={classes.list}>
        {colleagues?.map((colleague) => (
          <li key={colleague.physician}>
            <Link to="/colleagues/$username" params={{ username: colleague.username }} className={classes.row}>
              <ColleagueName colleague={colleague} />
              {colleague.verified && <span className={classes.when}>{showDay(colleague.verified.time)}</span>}
            </Link>
          </li>
        ))}
      </ul>
    </div>
  )
}

/** By exact username: there is no list of everybody to look through. */
function Find() {
  const { api } = useApp()
  const account = useSession()
  const navigate = useNavigate()
  const [problem, setProblem] = useState("")
  const [busy, setBusy] = useState(false)
  const form = useForm({
    mode: "uncontrolled",
    initialValues: { username: "" },
    validate: {
      username: (value) =>
        usernameProblem(value) ??
        (account.state === "signed-in" && cleanUsername(value) === account.username ? "This is you." : null),
    },
  })
  const submit = form.onSubmit(
    async (values) => {
      const username = cleanUsername(values.username)
      setProblem("")
      setBusy(true)
      try {
        await api.colleague(username)
        await navigate({ to: "/colleagues/$username", params: { username } })
      } catch (error) {
        if (error instanceof AppError && error.code === "NOT_ALLOWED") {
          form.setFieldError("username", "Nobody here has this username. Ask your colleague for it; it must be exact.")
          form.getInputNode("username")?.focus()
        } else setProblem(messageOf(error))
      }
      setBusy(false)
    },
    (errors) => focusFirst(form, ["username"], errors),
  )
  return (
    <>
      <form className={classes.find} onSubmit={submit} noValidate>
        <TextInput
          label="Find by username"
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          className={classes.field ?? ""}
          key={form.key("username")}
          {...form.getInputProps("username")}
        />
        <Button type="submit" size="md" variant="default" className={classes.button ?? ""} loading={busy}>
          Find
        </Button>
      </form>
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
    </>
  )
}
