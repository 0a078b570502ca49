import "@mantine/core/styles/FloatingIndicator.layer.css"
import "@mantine/core/styles/SegmentedControl.layer.css"
import { SegmentedControl, useMantineColorScheme } from "@mantine/core"
import { useRouterState } from "@tanstack/react-router"
import { type ReactNode, useEffect, useRef, useState } from "react"
import { useApp, useSession } from "../app.ts"
import { messageOf } from "../form-errors.ts"
import { ButtonLink } from "../parts/button-link.tsx"
import { ChangePassword } from "../parts/change-password.tsx"
import { Heading } from "../parts/heading.tsx"
import { NewWords } from "../parts/new-words.tsx"
import { Notice } from "../parts/notice.tsx"
import classes from "./settings.module.css"

export function SettingsScreen() {
  const account = useSession()
  if (account.state !== "signed-in") return null
  return (
    <div className={classes.page}>
      <Heading tab="Settings">Settings</Heading>
      <section className={classes.section}>
        <h2>Sessions and devices</h2>
        <p>Where you are signed in, with a button to end each.</p>
        <ButtonLink to="/activity" variant="default" className={classes.segments ?? ""}>
          Sessions
        </ButtonLink>
      </section>
      <section className={classes.section}>
        <h2 id="idle">Lock when idle</h2>
        <p>After this time without a key, a touch or a move of the mouse, this device asks for your password again.</p>
        <IdleMinutes minutes={account.idleMinutes} />
      </section>
      <section className={classes.section}>
        <h2>Appearance</h2>
        <Appearance />
      </section>
      <section className={classes.section}>
        <h2>Change password</h2>
        <p>Your records stay as they are. Other devices are signed out.</p>
        <ChangePassword username={account.username} />
      </section>
      <section className={classes.section}>
        <SectionHeading id="recovery-words">Recovery words</SectionHeading>
        <NewWords confirmed={account.wordsConfirmed} />
      </section>
    </div>
  )
}

/** A heading that has an address: whoever was sent to it begins there. */
function SectionHeading({ id, children }: { id: string; children: ReactNode }) {
  const asked = useRouterState({ select: (state) => state.location.hash === id })
  const ref = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    if (!asked) return
    // After the page's own title has taken the focus, and the router the place on the page.
    const later = setTimeout(() => {
      ref.current?.scrollIntoView()
      ref.current?.focus({ preventScroll: true })
    })
    return () => clearTimeout(later)
  }, [asked])
  return (
    <h2 ref={ref} id={id} tabIndex={-1} className={classes.heading}>
      {children}
    </h2>
  )
}

function IdleMinutes({ minutes }: { minutes: number }) {
  const { api, work } = useApp()
  const [problem, setProblem] = useState("")
  const [value, setValue] = useState(minutes)
  // What was chosen when there was more to choose from stays.
  const choices = [...new Set([1, 2, 5, 10, 15, minutes])].sort((a, b) => a - b)
  const change = async (next: number) => {
    setValue(next)
    setProblem("")
    work.set("saving")
    try {
      await api.setIdleMinutes(next)
      work.set("saved")
    } catch (error) {
      setValue(minutes)
      setProblem(messageOf(error))
      work.set("")
    }
  }
  return (
    <>
      <select
        className={classes.select}
        aria-labelledby="idle"
        value={value}
        onChange={(event) => void change(Number(event.currentTarget.value))}
      >
        {choices.map((minute) => (
          <option key={minute} value={minute}>
            {minute === 1 ? "1 minute" : `${minute} minutes`}
          </option>
        ))}
      </select>
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
    </>
  )
}

function Appearance() {
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  return (
    <SegmentedControl
      className={classes.segments ?? ""}
      aria-label="Appearance"
      value={colorScheme}
      onChange={(value) => setColorScheme(value === "light" || value === "dark" ? value : "auto")}
      data={[
        { value: "auto", label: "As the system" },
        { value: "light", label: "Light" },
        { value: "dark", label: "Dark" },
      ]}
    />
  )
}
