import { Session } from "node:inspector/promises"
import { setFlagsFromString } from "node:v8"

/** Counts how often the code of a folder runs: every block counts each time that it is entered. No clock is in it, so the counts are the
 * same on every machine. Only code that is loaded after this call is counted whole.
 * @param folder part of the files' addresses */
export async function countWork(folder: string) {
  // What is compiled further, or thrown away and compiled again, is not counted whole.
  for (const flag of ["--no-opt", "--no-maglev", "--no-flush-bytecode"]) setFlagsFromString(flag)
  const session = new Session()
  session.connect()
  await session.post("Profiler.enable")
  await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true })
  return {
    /** By file. */
    async of(work: () => unknown): Promise<Map<string, number>> {
      await session.post("Profiler.takePreciseCoverage")
      await work()
      const { result } = await session.post("Profiler.takePreciseCoverage")
      const counts = new Map<string, number>()
      for (const { url, functions } of result) {
        if (!url.includes(folder)) continue
        const count = functions.flatMap(({ ranges }) => ranges).reduce((sum, range) => sum + range.count, 0)
        counts.set(url.slice(url.lastIndexOf("/") + 1), count)
      }
      return counts
    },
    async stop(): Promise<void> {
      await session.post("Profiler.stopPreciseCoverage")
      session.disconnect()
    },
  }
}
