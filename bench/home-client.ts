import { fileStorage } from "../src/cli/storage.ts"
import { HomeList } from "../src/client/home.ts"
import { todayOf } from "../src/client/workspace.ts"
import { answerParent } from "./child.ts"
import { percentile } from "./lines.ts"
import { openClient } from "./our-client.ts"
import { patient } from "./patients.ts"

export interface AskHome {
  readonly url: string
  readonly username: string
  readonly records: number
  /** An empty folder for what the client remembers. */
  readonly folder: string
}

export interface HomeTimes {
  readonly fromKeyMs: number
  readonly fromPasswordMs: number
  readonly search50Ms: number
  readonly search99Ms: number
}

const rowsShown = 100
const queries = 150

/** Signs in with a fresh profile and opens everything; then types. One run in a fresh process. */
answerParent(async ({ url, username, records, folder }: AskHome): Promise<HomeTimes> => {
  const passwordAt = performance.now()
  const { work, keyAt, close } = await openClient(url, username, fileStorage(folder), false)
  await work.roster.load()
  await work.roster.sync()
  const list = new HomeList(work)
  list.prepare()
  const today = todayOf(work.session)
  const query = { sort: "name", descending: false, archived: false, offset: 0, limit: rowsShown } as const
  const page = list.page({ ...query, search: "" }, true, today)
  const done = performance.now()
  if (page.matching !== records || page.rows.length !== rowsShown)
    throw new Error(`${page.matching} records were found`)

  const keystrokes: number[] = []
  for (let i = 0; i < queries; i++) {
    const text = typed(i * 61)
    for (let length = 1; length <= text.length; length++) {
      const from = performance.now()
      const { matching } = list.page({ ...query, search: text.slice(0, length) }, true, today)
      keystrokes.push(performance.now() - from)
      if (matching === 0 && length === text.length) throw new Error("a patient was not found")
    }
  }
  close()
  return {
    fromKeyMs: done - keyAt,
    fromPasswordMs: done - passwordAt,
    search50Ms: percentile(keystrokes, 0.5),
    search99Ms: percentile(keystrokes, 0.99),
  }
})

/** What a physician types to find somebody: a last name, both names, a birth date, or a diagnosis with a name. */
function typed(number: number): string {
  const { firstName, lastName, birthDate, diagnosis } = patient(number % 9_000)
  const word = diagnosis.split(/[^a-zA-Z]+/)[0] ?? ""
  return [lastName, `${firstName} ${lastName}`, birthDate, `${word} ${lastName}`][number % 4]!
}
