import { Button } from "@mantine/core"
import { useForm } from "@mantine/form"
import { Link } from "@tanstack/react-router"
import { useState } from "react"
import { useApp, useSession } from "../app.ts"
import { focusFirst, messageOf } from "../form-errors.ts"
import look from "../parts/form.module.css"
import { Heading } from "../parts/heading.tsx"
import { Notice } from "../parts/notice.tsx"
import { Outside } from "../parts/outside.tsx"
import { Redirect } from "../parts/redirect.tsx"
import { Restored } from "../parts/restored.tsx"
import { SignInFields } from "../parts/sign-in-fields.tsx"
import classes from "./reopen.module.css"

const names = ["username", "password"]

/** The narrow way into an account whose newest keyring does not open: asked for by its physician, and said plainly. */
export function ReopenScreen() {
  const { api, session } = useApp()
  const account = useSession()
  const [problem, setProblem] = useState("")
  const [busy, setBusy] = useState(false)
  const form = useForm({
    mode: "uncontrolled",
    initialValues: { username: "", password: "" },
    validate: {
      username: (value) => (value.trim() === "" ? "Enter your username." : null),
      password: (value) => (value === "" ? "Enter your password." : null),
    },
  })

  if (account.state === "signed-in") return <Redirect to="/" />
  if (account.state === "restored") return <Restored account={account} />

  const submit = form.onSubmit(
    async ({ username, password }) => {
      setProblem("")
      setBusy(true)
      try {
        session.set(await api.reopen(username.trim(), password))
      } catch (error) {
        setProblem(messageOf(error))
        setBusy(false)
        form.getInputNode("password")?.focus()
      }
    },
    (errors) => focusFirst(form, names, errors),
  )

  return (
    <Outside>
      <Heading tab="Earlier keyring">Open with an earlier keyring</Heading>
      <p className={look.lead}>
        Your records are sealed apart from it: what does not open is your keyring, in which your account keeps its keys.
      </p>
      <div className={classes.call}>
        <Notice tone="amber">
          Call whoever runs your server first. A damaged keyring can be an accident. It can also be meant to make you go
          back.
        </Notice>
      </div>
      <ul className={classes.facts}>
        <li>Your keys are taken from an earlier keyring, and nothing else of it.</li>
        <li>Nobody counts as verified afterwards: compare the safety number with each colleague again.</li>
        <li>The list of your records is made anew, which may take a while. See that all of them are there.</li>
      </ul>
      <form className={look.form} onSubmit={submit} noValidate>
        <SignInFields form={form} />
        {problem && (
          <Notice tone="danger" live>
            {problem}
          </Notice>
        )}
        <Button type="submit" size="md" loading={busy} fullWidth>
          Open with an earlier keyring
        </Button>
      </form>
      <div className={look.links}>
        <Link to="/login">Back to sign in</Link>
      </div>
    </Outside>
  )
}
