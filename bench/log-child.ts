import { join } from "node:path"
import { newId } from "../src/encoding/ids.ts"
import { openNote } from "../src/proof/checkpoint.ts"
import { leafData } from "../src/proof/leaf.ts"
import { emptyRoot, Frontier, leafHash, verifyConsistency, verifyInclusion } from "../src/proof/merkle.ts"
import { logSigner } from "../src/server/log.ts"
import { openSqlite } from "../src/server/store/connection.ts"
import { type Batch, GroupCommit } from "../src/server/store/group-commit.ts"
import { migrate, sqliteTypes } from "../src/server/store/migrations.ts"
import { nodeLoader } from "../src/server/store/node-cache.ts"
import { Tree } from "../src/server/store/tree.ts"
import { answerParent } from "./child.ts"

export interface AskLog {
  /** An empty folder. */
  readonly folder: string
  readonly leaves: number
}

/** Milliseconds an operation, and hashes a proof. */
export interface LogTimes {
  readonly append: number
  readonly appendTogether: number
  readonly inclusion: number
  readonly consistency: number
  readonly verifyInclusion: number
  readonly verifyConsistency: number
  readonly longestInclusion: number
  readonly longestConsistency: number
}

const origin = "healthcrypt/AAAAAAAAAAAAAAAAAAAAAA"
const together = 256
const alone = 300
const proofs = 1000

/** The store's own log on a file of its own, without HTTP and without what the leaves speak of. */
answerParent(async ({ folder, leaves }: AskLog): Promise<LogTimes> => {
  const file = join(folder, "log.db")
  const writer = openSqlite(file, "write")
  await migrate(writer, sqliteTypes)
  const signer = logSigner(new Uint8Array(32).fill(7))
  const note = signer.sign({ origin, size: 0, root: emptyRoot })
  const reader = openSqlite(file, "read")
  const tree = new Tree(new Frontier(), { origin, size: 0, root: emptyRoot, note }, nodeLoader(reader))
  const commits = new GroupCommit(writer, tree, signer.sign, Date.now)
  const subject = newId<"record">()
  const hashes: Uint8Array[] = []
  const append = (number: number) =>
    commits.write(async (batch: Batch) => {
      const event = {
        subject,
        stream: "entry",
        type: "entry",
        number,
        actor: subject,
        statementHash: new Uint8Array(32),
      } as const
      const { salt, time } = batch.addLeaf(event)
      hashes.push(leafHash(leafData({ ...event, salt, time })))
    })
  const grow = (count: number) => {
    const first = hashes.length
    return Promise.all(Array.from({ length: count }, (_, i) => append(first + i)))
  }

  while (hashes.length < leaves) await grow(Math.min(together * 16, leaves - hashes.length))
  const appendMs = await timed(alone, () => append(hashes.length))
  const togetherMs = (await timed(8, () => grow(together))) / together
  const { size, root } = await openNote(tree.state.note, origin, signer.publicKey)

  const pick = () => Math.floor(Math.random() * (leaves - 1)) + 1
  const indexes = Array.from({ length: proofs }, pick)
  const sizes = Array.from({ length: proofs }, pick)
  const inclusions: Uint8Array[][] = []
  const consistencies: Uint8Array[][] = []
  const oldRoots = await Promise.all(sizes.map((one) => tree.rootAt(one)))
  const inclusion = await timed(
    proofs,
    async (i) => void inclusions.push(...(await tree.inclusions([indexes[i]!], tree.state))),
  )
  const consistency = await timed(
    proofs,
    async (i) => void consistencies.push((await tree.logState(sizes[i]!)).consistency),
  )
  const verifiedInclusion = await timed(proofs, (i) =>
    demand(verifyInclusion(hashes[indexes[i]!]!, indexes[i]!, size, inclusions[i]!, root)),
  )
  const verifiedConsistency = await timed(proofs, (i) =>
    demand(verifyConsistency(sizes[i]!, oldRoots[i]!, size, root, consistencies[i]!)),
  )
  await commits.close()
  await reader.destroy()
  await writer.destroy()
  return {
    append: appendMs,
    appendTogether: togetherMs,
    inclusion,
    consistency,
    verifyInclusion: verifiedInclusion,
    verifyConsistency: verifiedConsistency,
    longestInclusion: Math.max(...inclusions.map((proof) => proof.length)),
    longestConsistency: Math.max(...consistencies.map((proof) => proof.length)),
  }
})

/** @returns milliseconds a call */
async function timed(times: number, work: (index: number) => unknown): Promise<number> {
  const from = performance.now()
  for (let i = 0; i < times; i++) await work(i)
  return (performance.now() - from) / times
}

function demand(held: boolean): void {
  if (!held) throw new Error("a proof does not hold")
}
