import { readdirSync, readFileSync } from "node:fs"
import { append } from "../src/client/append.ts"
import { createPatient } from "../src/client/edits.ts"
import type { Workspace } from "../src/client/workspace.ts"
import type { Summary } from "../src/clinical/summary.ts"
import { encodeCbor } from "../src/encoding/cbor.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import type { ChainHead } from "../src/proof/chain.ts"
import { brady, edit, give, meet, physicians } from "./colleagues.ts"
import type { Practice } from "./practice.ts"

const mib = 1024 * 1024

/** What somebody may write to make a record slow or large: a content, and whether it goes deflated. */
interface Shape {
  readonly content: (n: number) => Uint8Array<ArrayBuffer>
  readonly compress: boolean
}

function contentOf(type: string, n: number, texts: readonly string[]): Uint8Array<ArrayBuffer> {
  return encodeCbor({ by: "Mal", changes: texts.map((text, i) => [`${type}/${n}-${i}`, text]) })
}

function resource(type: string, rest: string): string {
  return `{"resourceType":"${type}",${rest}}`
}

function tinyChanges(count: number): [key: string][] {
  return Array.from({ length: count }, (_, i) => [`A/${i.toString(36)}`])
}

export const shapes = {
  /** 64 MiB of one text. */
  long: {
    content: (n) => contentOf("Basic", n, [resource("Basic", `"x":"${"x".repeat(63 * mib)}"`)]),
    compress: true,
  },
  /** 30,000 resources that fill 64 MiB. */
  many: {
    content: (n) =>
      contentOf(
        "Observation",
        n,
        Array.from({ length: 30_000 }, (_, i) =>
          resource("Observation", `"id":"${i}","code":{"text":"${n}, ${i}"},"x":"${"x".repeat(2100)}"`),
        ),
      ),
    compress: true,
  },
  /** Eight million values in lists that are looked at. */
  nodes: {
    content: (n) =>
      contentOf(
        "Condition",
        n,
        Array.from({ length: 16 }, () => resource("Condition", `"x":[${"[0],".repeat(249_990)}[0]]`)),
      ),
    compress: true,
  },
  /** Objects with very many names. */
  names: {
    content: (n) => {
      const names = Array.from({ length: 299_000 }, (_, i) => `"${i}":0`).join()
      return contentOf(
        "Condition",
        n,
        Array.from({ length: 16 }, () => resource("Condition", `"code":{${names}}`)),
      )
    },
    compress: true,
  },
  /** 15 MiB that nobody deflates. */
  plain: {
    content: (n) => contentOf("Observation", n, [resource("Observation", `"code":{"text":"${"y".repeat(15 * mib)}"}`)]),
    compress: false,
  },
  /** 59,000 resources in few bytes, which the next entry replaces. */
  tiny: {
    content: () => encodeCbor({ by: "", changes: tinyChanges(59_000).map(([key]) => [key, '{"resourceType":"A"}']) }),
    compress: true,
  },
  /** 499,000 removals, of which the last is said twice. */
  broken: {
    content: () => encodeCbor({ by: "", changes: [...tinyChanges(499_000), ["A/0"]] }),
    compress: true,
  },
} satisfies Record<string, Shape>

/** A summary of a megabyte, as far as a token of one holds. */
const summary: Summary = {
  firstName: "x".repeat(500_000),
  lastName: "y".repeat(450_000),
  birthDate: "",
  diagnoses: [],
  patient: "",
  archived: false,
}

export interface WorstRecord {
  readonly id: RecordId
  readonly ada: Workspace
  readonly writers: readonly Workspace[]
}

/** A record of Ada's with three honest entries, among which three others write as much as the budgets allow, each in shapes of their own. */
export async function worstRecord(
  practice: Practice,
  plan: readonly (readonly (keyof typeof shapes)[])[],
): Promise<WorstRecord> {
  const [ada, ...writers] = await physicians(practice, "ada", ...plan.map((_, i) => `mal${i}`))
  const { id } = await createPatient(ada!, brady)
  for (const mal of writers) {
    await meet(ada!, mal)
    await give(ada!, mal, id, "writer")
  }
  for (const [i, mal] of writers.entries()) {
    const { head, keys } = await mal.records.open(id)
    let next: ChainHead = head
    for (const [n, name] of plan[i]!.entries()) {
      const shape: Shape = shapes[name]
      const contents = { body: shape.content(i * 1000 + n), summary, compress: shape.compress }
      next = (await append(mal.session, id, next, keys[head.epoch]!, { kind: "write" }, contents)).head
    }
    await ada!.roster.sync()
    if (i < 2) await edit(ada!, id, ["Asthma", "Gout"][i]!)
    for (const other of writers) await other.roster.sync()
  }
  return { id, ada: ada!, writers }
}

/** A browser's processes that run pages. */
export function renderersOf(browser: number): number[] {
  const parents = new Map<number, { parent: number; isRenderer: boolean }>()
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue
    try {
      const parent = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${name}/status`, "utf8"))?.[1])
      parents.set(Number(name), {
        parent,
        isRenderer: readFileSync(`/proc/${name}/cmdline`, "utf8").includes("--type=renderer"),
      })
    } catch {
      // It ended meanwhile.
    }
  }
  const isOurs = (pid: number): boolean => pid === browser || (parents.has(pid) && isOurs(parents.get(pid)!.parent))
  return [...parents].filter(([pid, { isRenderer }]) => isRenderer && isOurs(pid)).map(([pid]) => pid)
}
