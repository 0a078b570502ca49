import { shownText } from "../encoding/shown-text.ts"

/** Hands a text to the browser as a download. The content never leaves this device. */
export function saveFile(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }))
  const link = document.createElement("a")
  link.href = url
  link.download = shownText(name)
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
