import { Button, TextInput } from "@mantine/core"
import { useForm } from "@mantine/form"
import { useState } from "react"
import { focusFirst, messageOf } from "../form-errors.ts"
import look from "./form.module.css"
import { Heading } from "./heading.tsx"
import { Notice } from "./notice.tsx"
import classes from "./recovery-words.module.css"

interface ConfirmWordsProps {
  words: readonly string[]
  level: 1 | 2
  onBack: () => void
  onDone: () => Promise<void>
}

/** Asks for three of the words, at random places, so that the sheet is known to exist. */
export function ConfirmWords({ words, level, onBack, onDone }: ConfirmWordsProps) {
  const [places] = useState(() => threePlaces(words.length))
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState("")
  const names = places.map((place) => `word${place}`)
  const form = useForm<Record<string, string>>({
    mode: "uncontrolled",
    initialValues: Object.fromEntries(names.map((name) => [name, ""])),
    validate: (values) =>
      Object.fromEntries(
        places.flatMap((place) => {
          const typed = (values[`word${place}`] ?? "").trim().toLowerCase()
          if (typed === words[place - 1]) return []
          const message = typed === "" ? `Type word ${place}.` : `This is not word ${place}. Look at your sheet again.`
          return [[`word${place}`, message]]
        }),
      ),
  })

  const submit = form.onSubmit(
    async () => {
      setBusy(true)
      setProblem("")
      try {
        await onDone()
      } catch (error) {
        setProblem(messageOf(error))
        setBusy(false)
      }
    },
    (errors) => focusFirst(form, names, errors),
  )

  return (
    <>
      <Heading tab="Recovery words" level={level}>
        Check your sheet
      </Heading>
      <p className={look.lead}>Type three of the words, so that you know you have them right.</p>
      <form className={look.form} onSubmit={submit} noValidate>
        {problem && (
          <Notice tone="danger" live>
            {problem}
          </Notice>
        )}
        <div className={classes.fields}>
          {places.map((place) => (
            <TextInput
              key={form.key(`word${place}`)}
              label={`Word ${place}`}
              autoComplete="off"
              autoCapitalize="none"
              autoCorrect="off"
              spellCheck={false}
              {...form.getInputProps(`word${place}`)}
            />
          ))}
        </div>
        <div className={look.buttons}>
          <Button type="submit" size="md" loading={busy}>
            Continue
          </Button>
          <Button variant="subtle" size="md" onClick={onBack}>
            Back to the sheet
          </Button>
        </div>
      </form>
    </>
  )
}

function threePlaces(count: number): number[] {
  const chosen = new Set<number>()
  while (chosen.size < Math.min(3, count)) {
    const [random = 0] = crypto.getRandomValues(new Uint32Array(1))
    chosen.add((random % count) + 1)
  }
  return [...chosen].sort((a, b) => a - b)
}
