import { shownText } from "../encoding/shown-text.ts"

/** Hands a text to the browser as a download. The content never leaves this device. */
export function saveFile(name: string, type: string, text: string): void {
  saveBlob(name, new Blob([text], { type }))
}

export function saveBlob(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob)
  const link = document.createElement("a")
  link.href = url
  link.download = shownText(name)
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
