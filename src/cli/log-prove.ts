import { type InclusionView, proveEntry, proveIdentity } from "../client/log-proof.ts"
import { UsageError } from "./ask.ts"
import { withSession, withWorkspace } from "./client.ts"
import type { CliCommand, Io } from "./command.ts"
import { counting, recordIdFrom, wholeNumber } from "./ids.ts"

export const logProve: CliCommand = {
  name: "log prove",
  summary: "Prove that an entry of a record is in the log; --account: that your own identity is",
  arguments: "[id]",
  options: [
    { flags: "--seq <n>", description: `which entry, the latest if left out: ${counting}` },
    { flags: "--account", description: "your newest identity, instead of a record's entry" },
    { flags: "--json", description: "as JSON" },
  ],
  async run(io, options, args) {
    const seq = wholeNumber(options.seq, "--seq")
    const json = options.json === true
    if (options.account === true) {
      if (args.length > 0 || seq !== null) throw new UsageError("--account stands without an id and without --seq.")
      return withSession(io, async (session) => printProof(io, "identity", await proveIdentity(session), json))
    }
    if (args.length === 0) throw new UsageError("Name the record, or say --account.")
    const id = recordIdFrom(args)
    return withWorkspace(io, async (work) => printProof(io, "entry", await proveEntry(work, id, seq), json))
  },
}

async function printProof(io: Io, what: "entry" | "identity", proof: InclusionView, json: boolean): Promise<number> {
  if (json) {
    await io.out.json({ ...proof, verified: true })
    return 0
  }
  const line = (name: string, value: string | number) => io.out.line(`${name.padEnd(11)} ${value}`)
  await line(what, proof.number)
  await line("leaf index", proof.index)
  await line("leaf hash", proof.leafHash)
  await line("tree size", proof.size)
  await line("root", proof.root)
  for (const [i, hash] of proof.inclusion.entries()) await line(i === 0 ? "inclusion" : "", hash)
  await io.out.line("verified")
  if (what === "entry") await io.err.line(`Entries are counted from 0: ${counting}.`)
  return 0
}
