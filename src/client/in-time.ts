const momentMs = 3_000

/** Waits for something that may fail and may hang, for a moment. */
export async function inTime(work: Promise<unknown>): Promise<void> {
  const moment = new Promise((resolve) => setTimeout(resolve, momentMs))
  await Promise.race([work.catch(() => {}), moment])
}
