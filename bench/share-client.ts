import { connect } from "../src/cli/http.ts"
import { register } from "../src/client/account.ts"
import { acceptInvitations } from "../src/client/invitations.ts"
import { share } from "../src/client/sharing.ts"
import { Transport } from "../src/client/transport.ts"
import type { ManyReport } from "../src/client/views.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { answerParent } from "./child.ts"
import { createRecord, memoryStorage, password } from "./our-client.ts"
import { patient } from "./patients.ts"

export type AskShare =
  | { readonly prepare: string; readonly url: string; readonly records: number }
  /** Share all of them with a fresh colleague, who accepts all. */
  | { readonly round: number }

/** Each a record: the process's own time, the time that passed, and the bytes of addresses and bodies both ways. */
export interface Shared {
  readonly share: Spent
  readonly accept: Spent
}

interface Spent {
  readonly clientMs: number
  readonly ms: number
  readonly bytes: number
}

interface Physician {
  readonly work: Workspace
  readonly bytes: () => number
}

const never = { progress: () => {}, signal: { aborted: false } }
let where = { url: "", names: "" }
let owner: Physician | null = null
let ids: RecordId[] = []

answerParent(async (question: AskShare): Promise<Shared | null> => {
  if ("prepare" in question) {
    where = { url: question.url, names: question.prepare }
    owner = await signUp("owner")
    ids = []
    for (let n = 0; n < question.records; n++) ids.push((await createRecord(owner.work, patient(n))).id)
    return null
  }
  return round(owner!, question.round)
})

async function round(from: Physician, number: number): Promise<Shared> {
  const to = await signUp(`colleague-${number}`)
  const { people } = from.work.session
  const { safetyNumber } = people.view(await people.find(to.work.session.username))
  await people.verify(to.work.session.username, safetyNumber, "digits")
  await to.work.session.people.verify(from.work.session.username, safetyNumber, "digits")
  return {
    share: await spent(from, () => share(from.work, ids, to.work.session.username, "reader", null, never)),
    accept: await spent(to, () => acceptInvitations(to.work, ids, never)),
  }
}

async function spent({ bytes }: Physician, work: () => Promise<ManyReport>): Promise<Spent> {
  const [from, cpu, sent] = [performance.now(), process.cpuUsage(), bytes()]
  const { done } = await work()
  const { user, system } = process.cpuUsage(cpu)
  if (done !== ids.length) throw new Error(`only ${done} of ${ids.length} records`)
  return {
    ms: (performance.now() - from) / done,
    clientMs: (user + system) / 1000 / done,
    bytes: (bytes() - sent) / done,
  }
}

async function signUp(name: string): Promise<Physician> {
  let bytes = 0
  const connection = connect(where.url, undefined)
  const transport = new Transport(async (request) => {
    const response = await connection.send(request)
    bytes += request.path.length + (request.body?.length ?? 0) + response.body.length
    return response
  })
  const around = { transport, storage: memoryStorage(), carrier: "bearer", now: () => Date.now() } as const
  const account = { username: `${where.names}-${name}`, password, firstName: "Ada", lastName: "Byron" }
  const work = workspaceOf(await (await register(around, account)).enter())
  await work.roster.sync()
  return { work, bytes: () => bytes }
}
