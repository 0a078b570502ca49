import { AppError } from "../errors.ts"

/** Tries again what puts an entry on a record's head, for as long as somebody else's entry comes first.
 * @param times how often at most, after the first
 * @param before what is done before each further time
 * @throws CONFLICT_HEAD after that; whatever else `run` throws at once */
export async function whileOvertaken<T>(
  times: number,
  run: () => Promise<T>,
  before: () => Promise<unknown> = async () => {},
): Promise<T> {
  for (let left = times; ; left--) {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof AppError && error.code === "CONFLICT_HEAD") || left === 0) throw error
      await before()
    }
  }
}
