import { loginFinish, loginStart } from "../src/protocol/accounts.ts"
import { paths } from "../src/protocol/paths.ts"
import { deriveBytes, deriveUnlockKey } from "../src/vault/keys.ts"
import { startLogin } from "../src/vault/opaque.ts"
import {
  entryPlace,
  keyringPlace,
  profilePlace,
  rosterPlace,
  selfGrantPlace,
  summaryPlace,
  unlockPlace,
} from "../src/vault/places.ts"
import { parseWords, recoverySeed } from "../src/vault/words.ts"
import { openClient, surroundings } from "./client.ts"
import { bytesNeedle, type Needle } from "./leaks.ts"

/** Every key behind one physician's account and records, as things that must not be found: the physician key, the seeds, each
 * record key, everything derived from them so far, and what opens the physician key.
 * @param home a HEALTHCRYPT_HOME of this search's own */
export async function keyNeedles(
  server: string,
  home: string,
  username: string,
  password: string,
  words: readonly string[],
): Promise<Needle[]> {
  const { session, roster, records, close } = await openClient(server, home, username, password)
  const { physician, key, keyring } = session
  const needles: Needle[] = []
  const take = (name: string, bytes: Uint8Array) => needles.push(bytesNeedle(name, bytes))
  take("physician key", key)
  take("signing seed", keyring.signSeed)
  take("sealing seed", keyring.sealSeed)
  for (let number = 0; number <= session.keyringNumber + 1; number++)
    take(`keyring key ${number}`, await deriveBytes(key, keyringPlace(physician, number)))
  take("profile key", await deriveBytes(key, profilePlace(physician, 0)))
  for (const { id } of keyring.roster.segments)
    take(`roster key ${id}`, await deriveBytes(key, rosterPlace(physician, id)))
  for (const id of roster.rows.keys()) {
    const { keys, head, steps } = await records.open(id)
    for (const [epoch, recordKey] of keys.entries()) {
      take(`record key of ${id}`, recordKey!)
      take(`self-grant key of ${id}`, await deriveBytes(key, selfGrantPlace(physician, id, epoch)))
    }
    for (let seq = 0; seq <= head.seq; seq++) {
      const { epoch, author } = steps[seq]!.entry
      take(`entry key ${seq} of ${id}`, await deriveBytes(keys[epoch]!, entryPlace(id, epoch, seq, author)))
      take(`summary key ${seq} of ${id}`, await deriveBytes(keys[epoch]!, summaryPlace(id, epoch, seq)))
    }
  }
  const take2 = async (method: string, secret: Uint8Array, generation: number) => {
    const unlockKey = await deriveUnlockKey(secret, physician, method, generation)
    take(`${method} unlock key`, unlockKey)
    take(`${method} unlock token's key`, await deriveBytes(unlockKey, unlockPlace(physician, method, generation)))
  }
  const generation = (method: string) => session.identity.unlocks.find((one) => one.method === method)!.generation
  const entropy = parseWords(words.join(" "))
  take("recovery entropy", entropy)
  take("recovery seed", await recoverySeed(entropy))
  await take2("recovery", entropy, generation("recovery"))
  const exported = await exportKey(server, home, username, password, session.practice.practice)
  take("export key", exported)
  await take2("password", exported, generation("password"))
  await session.end()
  close()
  return needles
}

/** OPAQUE's export key of a log-in, which the client's own code never lets out. */
async function exportKey(
  server: string,
  home: string,
  username: string,
  password: string,
  practice: Parameters<Awaited<ReturnType<typeof startLogin>>["finish"]>[1]["practice"],
): Promise<Uint8Array> {
  const { around, close } = surroundings(server, home)
  const opaque = await startLogin(password)
  const { login, loginResponse } = await around.transport.call("POST", paths.loginStart, {
    json: { username, startLoginRequest: opaque.request },
    reply: loginStart.reply,
  })
  const { finishLoginRequest, exportKey } = opaque.finish(loginResponse, { username, practice })
  await around.transport.call("POST", paths.loginFinish, {
    json: { login, finishLoginRequest, carrier: "bearer" },
    reply: loginFinish.reply,
  })
  close()
  return exportKey
}
