import { Button } from "@mantine/core"
import { useForm } from "@mantine/form"
import { Link, useRouter, useRouterState } from "@tanstack/react-router"
import { Suspense, useRef, useState } from "react"
import { AppError } from "../../errors.ts"
import { maybeRemembered, useApp, useSession } from "../app.ts"
import { focusFirst, messageOf } from "../form-errors.ts"
import { lazy } from "../lazy.ts"
import { ButtonLink } from "../parts/button-link.tsx"
import look from "../parts/form.module.css"
import { Heading } from "../parts/heading.tsx"
import { Notice } from "../parts/notice.tsx"
import { Outside } from "../parts/outside.tsx"
import { Redirect } from "../parts/redirect.tsx"
import { SignInFields } from "../parts/sign-in-fields.tsx"
import { Skeleton } from "../parts/skeleton.tsx"
import { useStore } from "../store.ts"

const names = ["username", "password"]
const Restored = lazy(() => import("../parts/restored.tsx"), "Restored")

export function LoginScreen() {
  const { api, session, ended } = useApp()
  const account = useSession()
  const wasEnded = useStore(ended)
  const asked = useRouterState({ select: (state) => state.location.state.next })
  const [next] = useState(asked ?? "/")
  const prepare = usePreparation(next)
  const [problem, setProblem] = useState("")
  const [damaged, setDamaged] = useState(false)
  const [busy, setBusy] = useState(false)
  const form = useForm({
    mode: "uncontrolled",
    initialValues: { username: "", password: "" },
    validate: {
      username: (value) => (value.trim() === "" ? "Enter your username." : null),
      password: (value) => (value === "" ? "Enter your password." : null),
    },
  })

  if (account.state === "signed-in") return <Redirect to={next} />
  const waiting = (
    <Outside>
      <Skeleton lines={4} heading />
    </Outside>
  )
  if (account.state === "restored")
    return (
      <Suspense fallback={waiting}>
        <Restored account={account} />
      </Suspense>
    )
  // Nobody signs in beside a session that is just being picked up.
  if (account.state === "unknown" && maybeRemembered()) return waiting

  const submit = form.onSubmit(
    async ({ username, password }) => {
      setProblem("")
      setBusy(true)
      try {
        session.set(await api.signIn(username.trim(), password))
      } catch (error) {
        setProblem(messageOf(error))
        setDamaged(error instanceof AppError && error.code === "CANNOT_OPEN")
        setBusy(false)
        form.getInputNode("password")?.focus()
      }
    },
    (errors) => focusFirst(form, names, errors),
  )

  return (
    <Outside>
      <Heading tab="Sign in">Sign in</Heading>
      {wasEnded ? (
        <p className={look.lead}>Your session has ended. Sign in to go on.</p>
      ) : (
        next !== "/" && <p className={look.lead}>Sign in to open the page you asked for.</p>
      )}
      <form className={look.form} onSubmit={submit} onInput={prepare} noValidate>
        <SignInFields form={form} />
        {problem && (
          <Notice
            tone="danger"
            live
            actions={
              damaged && (
                <ButtonLink to="/reopen" size="xs" variant="default">
                  Open with an earlier keyring
                </ButtonLink>
              )
            }
          >
            {problem}
          </Notice>
        )}
        <Button type="submit" size="md" loading={busy} fullWidth>
          Sign in
        </Button>
      </form>
      <div className={look.links}>
        <Link to="/recover">Forgot your password?</Link>
        <span>
          New here? <Link to="/register">Create an account</Link>
        </span>
      </div>
    </Outside>
  )
}

/** At the first letter typed, loads what comes after the password: nobody types one faster than that. */
function usePreparation(next: string): () => void {
  const { api } = useApp()
  const router = useRouter()
  const begun = useRef(false)
  return () => {
    if (begun.current) return
    begun.current = true
    void api.prepareSignIn().catch(() => {})
    void router.preloadRoute({ to: next }).catch(() => {})
  }
}
