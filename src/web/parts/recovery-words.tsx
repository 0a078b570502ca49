import { Button } from "@mantine/core"
import IconDownload from "@tabler/icons-react/dist/esm/icons/IconDownload.mjs"
import IconPrinter from "@tabler/icons-react/dist/esm/icons/IconPrinter.mjs"
import { useState } from "react"
import type { RecoverySheet } from "../../client/views.ts"
import { saveFile } from "../save-file.ts"
import { ConfirmWords } from "./confirm-words.tsx"
import { Heading } from "./heading.tsx"
import { Notice } from "./notice.tsx"
import classes from "./recovery-words.module.css"

interface RecoveryWordsProps {
  sheet: RecoverySheet
  /** Of the heading: 2 inside a page that has a title of its own. */
  level?: 1 | 2
  onDone: () => Promise<void>
}

/** Shows the 24 words once, then asks for three of them. `onDone` runs after the third was right. */
export function RecoveryWords({ sheet, level = 1, onDone }: RecoveryWordsProps) {
  const [step, setStep] = useState<"show" | "ask">("show")
  if (step === "ask") {
    return <ConfirmWords words={sheet.words} level={level} onBack={() => setStep("show")} onDone={onDone} />
  }
  return (
    <div className={classes.sheet}>
      <Heading tab="Recovery words" level={level}>
        Your recovery words
      </Heading>
      <p className={classes.lead}>
        These words are the only way back if you forget your password. We can’t reset it: we can’t read your records.
      </p>
      <ol className={classes.words}>
        {sheet.words.map((word, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a word may occur twice, its number is what it is known by
          <li key={index}>{word}</li>
        ))}
      </ol>
      <dl className={classes.facts}>
        <Fact label="Username" value={sheet.username} />
        <Fact label="Address" value={location.origin} />
        <Fact label="Practice" value={sheet.practice} code />
        <Fact label="Log" value={sheet.origin} code />
        <Fact label="Log key" value={sheet.logKey} code />
      </dl>
      <p className={classes.note}>{forWhom}</p>
      <div className={classes.hide}>
        <Notice tone="amber">
          Print them or write them down, in this order, and keep the sheet where you keep your passport. They are shown
          this once. Whoever has them can open your account.
        </Notice>
      </div>
      <div className={classes.buttons}>
        <Button size="md" onClick={() => setStep("ask")}>
          Continue
        </Button>
        <Button variant="default" size="md" leftSection={<IconPrinter size={18} />} onClick={() => window.print()}>
          Print
        </Button>
        <Button
          variant="default"
          size="md"
          leftSection={<IconDownload size={18} />}
          onClick={() => saveFile("healthcrypt-recovery-words.txt", "text/plain", asText(sheet))}
        >
          Download
        </Button>
      </div>
    </div>
  )
}

const forWhom = "Practice, log and log key are for whoever checks the server; you need not type them."

function Fact({ label, value, code = false }: { label: string; value: string; code?: boolean }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd data-code={code || undefined}>{value}</dd>
    </div>
  )
}

function asText({ words, username, origin, practice, logKey }: RecoverySheet): string {
  const numbered = words.map((word, index) => `${String(index + 1).padStart(2)}  ${word}`)
  return [
    "Healthcrypt recovery words",
    "",
    "These words are the only way back if you forget your password.",
    "Whoever has them can open your account. Keep them away from this computer.",
    "",
    ...numbered,
    "",
    `Username  ${username}`,
    `Address   ${location.origin}`,
    `Practice  ${practice}`,
    `Log       ${origin}`,
    `Log key   ${logKey}`,
    forWhom,
    "",
  ].join("\n")
}
