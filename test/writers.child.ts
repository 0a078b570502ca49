/** One of two physicians who edit the same record at the same time: started by writers.test.ts as a process of its own.
 * Arguments: server, home, username, record, what to edit, how often. The password comes by the environment. It waits for a line before
 * it writes, and again before it reads what both have come to. */
import { connect } from "../src/cli/http.ts"
import { fileStorage } from "../src/cli/storage.ts"
import { signIn } from "../src/client/account.ts"
import { savePatient } from "../src/client/edits.ts"
import { parseRecordId } from "../src/client/ids.ts"
import { Transport } from "../src/client/transport.ts"
import { workspaceOf } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import { stateOf } from "./state.ts"

const [server, home, username, id, field, times] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
]
const record = parseRecordId(id)
const connection = connect(server, undefined)
const around = {
  transport: new Transport(connection.send),
  storage: fileStorage(home),
  carrier: "bearer",
  now: () => Date.now(),
} as const
const session = await signIn(around, username, process.env.HEALTHCRYPT_PASSWORD ?? "")
const work = workspaceOf(session)
await work.roster.load()
await work.roster.sync()
/** Says something, and waits until it is told to go on. */
const say = (line: string) => {
  const told = new Promise((go) => process.stdin.once("data", go))
  process.stdout.write(`${line}\n`)
  return told
}
await say("ready")

let merged = 0
for (let n = 1; n <= Number(times); n++) {
  const { head, chart } = await work.records.open(record)
  const saved = await savePatient(work, record, head.seq, { ...formOf(chart), [field]: `${username} ${n}` })
  if (!saved.saved) throw new Error("asked about somebody else's resource")
  if (saved.merged) merged++
}
await say("written")

await work.roster.sync()
await work.roster.looked()
const inHand = await work.records.open(record)
// Nothing of it in hand: the whole record as the server has it.
const again = workspaceOf(session)
await again.roster.load()
await again.roster.sync()
const states = [inHand, await again.records.open(record)].map(stateOf)
process.stdout.write(`${JSON.stringify({ merged, states })}\n`)
await session.end()
connection.close()
process.stdin.destroy()
