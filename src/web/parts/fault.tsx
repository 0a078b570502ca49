import { Button } from "@mantine/core"
import { useEffect, useState } from "react"
import look from "./form.module.css"
import { Heading } from "./heading.tsx"
import { Outside } from "./outside.tsx"

type Why = "looking" | "updated" | "unreachable" | "fault"

const words: Record<
  Exclude<Why, "looking">,
  { readonly tab: string; readonly title: string; readonly text: string }
> = {
  updated: {
    tab: "Updated",
    title: "Healthcrypt was updated",
    text: "Load this page again to go on with the new version. Nothing that was saved is lost, and anything you were typing is kept, sealed.",
  },
  unreachable: {
    tab: "Offline",
    title: "Not connected",
    text: "This page was not loaded before, and the server cannot be reached. Nothing that was saved is lost; try again in a moment.",
  },
  fault: {
    tab: "Fault",
    title: "This page can’t be shown",
    text: "Nothing that was saved is lost. Load the page again; if it happens once more, tell whoever runs your server.",
  },
}

/** Where a page could not be drawn: because the server has a newer one, or cannot be reached, or by a fault of ours. */
export function Fault() {
  const [why, setWhy] = useState<Why>("looking")
  const [busy, setBusy] = useState(false)
  useEffect(() => {
    let gone = false
    void whyFailed().then((found) => !gone && setWhy(found))
    return () => {
      gone = true
    }
  }, [])

  /** Never into nothing: while the server is away, this page is all there is. */
  const again = async () => {
    setBusy(true)
    const found = await whyFailed()
    if (found !== "unreachable") return location.reload()
    setWhy(found)
    setBusy(false)
  }
  if (why === "looking") return null
  const { tab, title, text } = words[why]
  return (
    <Outside>
      <Heading tab={tab}>{title}</Heading>
      <p className={look.lead}>{text}</p>
      <div className={look.form}>
        <Button size="md" loading={busy} onClick={() => void again()}>
          {why === "unreachable" ? "Try again" : "Load again"}
        </Button>
      </div>
    </Outside>
  )
}

/** Asks the server for its page: a newer one begins with another script. */
async function whyFailed(): Promise<Exclude<Why, "looking">> {
  const script = document.querySelector("script[type=module][src]")?.getAttribute("src") ?? ""
  try {
    const answer = await fetch("/", { headers: { accept: "text/html" }, cache: "no-store" })
    if (!answer.ok) return "unreachable"
    return (await answer.text()).includes(script) ? "fault" : "updated"
  } catch {
    return "unreachable"
  }
}
