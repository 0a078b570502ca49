import { AppError } from "../errors.ts"
import { paths } from "../protocol/paths.ts"
import type { Transport } from "./transport.ts"

const againMs = 1_000
const againAtMostMs = 30_000

/** Hears from the server when something changed, over one request that stays open; after a loss it asks again, by and by more slowly.
 * What changed is pulled and verified as always: an event says only that it is worth asking.
 * @param changed called at every event, and after every loss, when events may have been missed.
 * @returns when `signal` is aborted, or the server does not know the session any more. */
export async function listen(transport: Transport, changed: () => void, signal: AbortSignal): Promise<void> {
  let waitMs = againMs
  while (!signal.aborted) {
    try {
      for await (const chunk of transport.stream(paths.events, signal)) {
        waitMs = againMs
        if (hasEvent(chunk)) changed()
      }
    } catch (error) {
      if (!(error instanceof AppError) || error.code === "NOT_ALLOWED_SESSION") return
      if (error.code === "NOT_ALLOWED_SUSPENDED") return
    }
    if (signal.aborted) return
    await sleep(waitMs, signal)
    waitMs = Math.min(waitMs * 2, againAtMostMs)
    if (!signal.aborted) changed()
  }
}

/** Comment lines only keep the connection open; whatever else comes, even cut in two, is worth asking for. */
function hasEvent(chunk: Uint8Array): boolean {
  const colon = 0x3a
  return chunk[0] !== colon || /^[^:\n]/m.test(new TextDecoder().decode(chunk))
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener("abort", done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener("abort", done)
  })
}
