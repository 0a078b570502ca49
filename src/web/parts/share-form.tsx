import { Button, TextInput } from "@mantine/core"
import { useForm } from "@mantine/form"
import { useRef, useState } from "react"
import type { ColleagueView, Role } from "../../client/views.ts"
import { endOfDay } from "../../clinical/days.ts"
import { AppError } from "../../errors.ts"
import { cleanUsername, usernameProblem } from "../account-rules.ts"
import { useApp, useSession } from "../app.ts"
import { focusFirst, showErrors } from "../form-errors.ts"
import { roles, type ShareDraft, type WayBack } from "../share-draft.ts"
import { useAnswer } from "../use-answer.ts"
import { useProblem } from "../use-problem.ts"
import { ButtonLink } from "./button-link.tsx"
import look from "./form.module.css"
import { Hidden } from "./hidden.tsx"
import { LastDay, lastDayProblem } from "./last-day.tsx"
import { Notice } from "./notice.tsx"
import { SelectField } from "./select-field.tsx"

const names = ["username", "role", "until"]

interface ShareFormProps {
  initial: ShareDraft
  /** Where the way over a verification leads back to. */
  back: (draft: ShareDraft) => WayBack
  /** What the button says. */
  action: string
  onShare: (username: string, role: Role, until: number | null) => Promise<void>
}

/** Finds a colleague by exact username, and goes no further with one who is not verified. */
export function ShareForm({ initial, back, action, onShare }: ShareFormProps) {
  const { api } = useApp()
  const account = useSession()
  const known = useAnswer("colleagues", () => api.colleagues())
  const [blocked, setBlocked] = useState<{ colleague: ColleagueView; draft: ShareDraft } | null>(null)
  const { problem, fail, clear } = useProblem()
  const [busy, setBusy] = useState(false)
  const lastDay = useRef<HTMLInputElement>(null)
  const form = useForm<ShareDraft>({
    mode: "controlled",
    initialValues: initial,
    onValuesChange: () => setBlocked(null),
    validate: {
      username: (value) =>
        usernameProblem(value) ??
        (account.state === "signed-in" && cleanUsername(value) === account.username ? "This is you." : null),
      until: () => lastDayProblem(lastDay.current),
    },
  })
  const { role } = form.values

  const submit = form.onSubmit(
    async (values) => {
      const username = cleanUsername(values.username)
      clear()
      setBlocked(null)
      setBusy(true)
      try {
        const colleague = await find(username)
        if (colleague.state === "verified") {
          await onShare(username, values.role, values.role === "owner" ? null : endOfDay(values.until))
        } else setBlocked({ colleague, draft: { ...values, username } })
      } catch (error) {
        fail(error, showErrors(form, names, error))
      }
      setBusy(false)
    },
    (errors) => focusFirst(form, names, errors),
  )
  const find = async (username: string): Promise<ColleagueView> => {
    try {
      return await api.colleague(username)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "NOT_ALLOWED") throw error
      const fields = { username: "Nobody here has this username. Ask your colleague for it; it must be exact." }
      throw new AppError("BAD_INPUT_FORM", undefined, { fields })
    }
  }

  return (
    <form className={look.form} onSubmit={submit} noValidate>
      <TextInput
        label="Colleague’s username"
        description="Exactly as they sign in with it."
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        list="colleagues-known"
        {...form.getInputProps("username")}
      />
      <datalist id="colleagues-known">
        {known.value
          ?.filter(({ state }) => state === "verified")
          .map(({ username }) => (
            <option key={username} value={username} />
          ))}
      </datalist>
      <SelectField
        label="Role"
        value={role}
        onChange={(value) => form.setFieldValue("role", value)}
        options={roles.map(({ role: value, label, may }) => ({ value, label: `${label}: ${may}` }))}
      />
      {role !== "owner" && <LastDay field={lastDay} {...form.getInputProps("until")} />}
      {blocked && <Blocked {...blocked} back={back(blocked.draft)} />}
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
      <div className={look.buttons}>
        <Button type="submit" size="md" loading={busy}>
          {action}
        </Button>
      </div>
    </form>
  )
}

function Blocked({ colleague, back }: { colleague: ColleagueView; back: WayBack }) {
  const { username, state } = colleague
  const changed = state === "changed"
  return (
    <Notice
      tone={changed ? "danger" : "amber"}
      live
      actions={
        <ButtonLink to="/colleagues/$username" params={{ username }} state={{ back }} size="xs" variant="default">
          {changed ? "Compare again" : "Verify"}
          <Hidden> {username}</Hidden>
        </ButtonLink>
      }
    >
      {changed
        ? `The keys of ${username} have changed since you verified them. Nothing can be shared until you have compared your safety number again.`
        : `You have not verified ${username} yet. Compare your safety number first, so that you know whose keys you share with.`}
    </Notice>
  )
}
