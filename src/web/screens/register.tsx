import { Button, TextInput } from "@mantine/core"
import { useForm } from "@mantine/form"
import { Link, useNavigate, useRouterState } from "@tanstack/react-router"
import { useEffect, useState } from "react"
import type { RecoverySheet } from "../../client/views.ts"
import { inviteProblem, nameProblem, newPasswordProblem, repeatProblem, usernameProblem } from "../account-rules.ts"
import { useApp, useSession } from "../app.ts"
import { focusFirst, showErrors } from "../form-errors.ts"
import look from "../parts/form.module.css"
import { Heading } from "../parts/heading.tsx"
import { NewPasswordFields } from "../parts/new-password-fields.tsx"
import { Notice } from "../parts/notice.tsx"
import { Outside } from "../parts/outside.tsx"
import { RecoveryWords } from "../parts/recovery-words.tsx"
import { Redirect } from "../parts/redirect.tsx"
import { Skeleton } from "../parts/skeleton.tsx"
import { useLeavingCheck } from "../use-after-press.ts"
import { useAnswer } from "../use-answer.ts"

const names = ["invite", "username", "firstName", "lastName", "password", "confirm"]

/** Who can sign up, before anybody types in vain. */
export function RegisterScreen() {
  const { api } = useApp()
  const invite = useLinkedInvite()
  const { value, error } = useAnswer("registration", () => api.registration())
  // Where nobody answers, the form is there all the same: it says so when it is sent.
  const registration = value ?? (error ? "open" : null)
  if (registration === null)
    return (
      <Outside>
        <Heading tab="Create account">Create your account</Heading>
        <Skeleton lines={6} />
      </Outside>
    )
  if (registration === "closed") return <Closed />
  return <NewAccountForm key={invite} invited={registration === "invited"} invite={invite} />
}

/** The invitation of the link that was opened. It is taken out of the address at once: there it would be kept by the browser. */
function useLinkedInvite(): string {
  const navigate = useNavigate()
  const hash = useRouterState({ select: (state) => state.location.hash })
  const [invite, setInvite] = useState("")
  useEffect(() => {
    if (hash === "") return
    setInvite(hash)
    void navigate({ to: "/register", replace: true })
  }, [hash, navigate])
  return invite
}

function Closed() {
  return (
    <Outside>
      <Heading tab="Create account">No new accounts here</Heading>
      <p className={look.lead}>
        This server takes no new accounts at the moment. If you belong to this practice, ask whoever runs its server.
      </p>
      <div className={look.links}>
        <span>
          Already here? <Link to="/login">Sign in</Link>
        </span>
      </div>
    </Outside>
  )
}

function NewAccountForm({ invited, invite }: { invited: boolean; invite: string }) {
  const { api } = useApp()
  const account = useSession()
  const navigate = useNavigate()
  const [sheet, setSheet] = useState<RecoverySheet | null>(null)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState("")
  const form = useForm({
    mode: "uncontrolled",
    initialValues: { invite, username: "", firstName: "", lastName: "", password: "", confirm: "" },
    validate: {
      invite: (value) => inviteProblem(value, invited),
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
    async ({ invite, username, firstName, lastName, password }) => {
      setProblem("")
      setBusy(true)
      try {
        const names = { username: username.trim(), firstName: firstName.trim(), lastName: lastName.trim() }
        setSheet(await api.register({ ...names, password, invite: invite.trim() }))
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
        {(invited || invite !== "") && (
          <TextInput
            label="Invitation code"
            description="The line, or the link, that whoever runs the server sent you. It is good once."
            autoComplete="off"
            autoCapitalize="none"
            autoCorrect="off"
            spellCheck={false}
            autoFocus={invite === ""}
            key={form.key("invite")}
            {...form.getInputProps("invite")}
          />
        )}
        <TextInput
          label="Username"
          description="What you sign in with, and what the server knows you by."
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          autoFocus={!invited || invite !== ""}
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
