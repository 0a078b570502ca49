import { connect } from "../src/cli/http.ts"
import { register, signIn } from "../src/client/account.ts"
import type { OpenRecord } from "../src/client/open-record.ts"
import type { ClientStorage } from "../src/client/storage.ts"
import { Transport } from "../src/client/transport.ts"
import { todayOf, type Workspace, workspaceOf } from "../src/client/workspace.ts"
import type { PatientFields } from "../src/clinical/fields.ts"
import { validatePatientFields } from "../src/clinical/fields.ts"
import { changesFor } from "../src/clinical/form.ts"
import { paths } from "../src/protocol/paths.ts"

export const password = "correct horse battery staple"

export interface Client {
  readonly work: Workspace
  /** When the key had just been derived from the password, on `performance.now()`'s clock: the next thing that the client does
   * is to send the proof of it. */
  readonly keyAt: number
  close(): void
}

/** Signs up or in, with the command line's way to speak HTTP. */
export async function openClient(
  url: string,
  username: string,
  storage: ClientStorage,
  isNew: boolean,
): Promise<Client> {
  const connection = connect(url, undefined)
  let keyAt = 0
  const transport = new Transport((request) => {
    if (request.path === paths.loginFinish) keyAt = performance.now()
    return connection.send(request)
  })
  const around = { transport, storage, carrier: "bearer", now: () => Date.now() } as const
  const session = isNew
    ? await (await register(around, { username, password, firstName: "Ada", lastName: "Byron" })).enter()
    : await signIn(around, username, password)
  return { work: workspaceOf(session), keyAt, close: connection.close }
}

export function createRecord({ session, records }: Workspace, fields: PatientFields): Promise<OpenRecord> {
  const today = todayOf(session)
  const checked = validatePatientFields(fields, today)
  const changes = changesFor(null, checked, () => crypto.randomUUID(), today)
  return records.create({ by: session.fullName, changes })
}

/** Remembers for as long as the process lives. */
export function memoryStorage(): ClientStorage {
  const kept = new Map<string, Uint8Array>()
  return {
    get: async (name) => kept.get(name) ?? null,
    put: async (name, bytes) => void kept.set(name, bytes),
    async delete(...names) {
      for (const name of names) kept.delete(name)
    },
    list: async (prefix) => [...kept.keys()].filter((name) => name.startsWith(prefix)),
    exclusive: (_, work) => work(),
  }
}
