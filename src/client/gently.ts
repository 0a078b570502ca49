/** So much is done before others have a turn, in the units of the work; characters of a file, for one. */
const atOnce = 1024 * 1024

/** Does work that says how much each of its steps was. In between, whatever waits has its turn: a message to stop, or a signal.
 * @returns `null` when it was stopped before its end */
export async function gently<T>(work: Generator<number, T>, signal: { readonly aborted: boolean }): Promise<T | null> {
  for (let done = 0; ; ) {
    const step = work.next()
    if (step.done) return step.value
    done += step.value
    if (done < atOnce) continue
    done = 0
    await othersTurn()
    if (signal.aborted) return null
  }
}

/** Lets everything run that waits by now. */
export function othersTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve))
}
