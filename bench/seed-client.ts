import { answerParent } from "./child.ts"
import { type Client, createRecord, memoryStorage, openClient } from "./our-client.ts"
import { patient } from "./patients.ts"

export interface SeedOurs {
  readonly url: string
  readonly username: string
  readonly records: number
}

const sessionsAtOnce = 4
/** Records that came after the last folding: the home page has to take them from the log, as on any working day. */
const unfolded = 100

/** Fills a physician's practice through the real client: several sessions write, one follows and packs the roster. */
answerParent(async ({ url, username, records }: SeedOurs) => {
  const first = await openClient(url, username, memoryStorage(), true)
  const others: Client[] = []
  for (let i = 1; i < sessionsAtOnce; i++) others.push(await openClient(url, username, memoryStorage(), false))
  const numbers = Array.from({ length: records }, (_, i) => i)
  const late = numbers.splice(records - unfolded)
  const write = async ({ work }: Client) => {
    for (let next = numbers.pop(); next !== undefined; next = numbers.pop()) await createRecord(work, patient(next))
  }
  await Promise.all([first, ...others].map(write))
  await first.work.roster.sync()
  await first.work.roster.fold(true)
  for (const number of late) await createRecord(first.work, patient(number))
  for (const client of [first, ...others]) client.close()
  return { records: first.work.roster.rows.size }
})
