import type { FastifyReply, FastifyRequest } from "fastify"
import { concat } from "../../encoding/bytes.ts"
import { paths } from "../../protocol/paths.ts"
import { network } from "../guess-limit.ts"
import { answerAbsent } from "../refusals.ts"
import type { Witnesses } from "../witnesses.ts"
import type { Api, RouteContext } from "./context.ts"

const width = 256
const yearSeconds = 31_536_000

/** A tile or an entry bundle by its address. Both exist as soon as one of their 256 places is filled. */
interface TilePlace {
  /** Of 8 tree levels each; null for the entries themselves. */
  readonly level: number | null
  readonly index: number
  /** How many places are wanted, 256 for all. */
  readonly width: number
}

/** The log as static files, for everybody: the checkpoint, the tree's hashes and the leaves' data. Format: C2SP tlog-tiles,
 * docs/formats/log.md */
export function tileRoutes(app: Api, { store, turns }: RouteContext, witnesses: Witnesses): void {
  app.get(paths.checkpoint, async (_, reply) =>
    open(reply)
      .type("text/plain; charset=utf-8")
      .header("cache-control", "no-store")
      .send(witnesses.cosigned(store.treeHead().note)),
  )

  app.get(paths.tile, async (request: FastifyRequest<{ Params: { "*": string } }>, reply) => {
    const place = parsePlace(request.params["*"])
    const bytes = place === null ? null : await turns.take(network(request.ip), () => read(place))
    if (place === null || bytes === null) return answerAbsent(reply)
    const seconds = place.width === width ? `${yearSeconds}, immutable` : 60
    return open(reply)
      .type("application/octet-stream")
      .header("cache-control", `public, max-age=${seconds}`)
      .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
  })

  /** null for what the newest checkpoint does not cover. */
  async function read({ level, index, width: wanted }: TilePlace): Promise<Uint8Array | null> {
    const range = { from: index * width, to: index * width + wanted }
    if (level !== null) {
      const hashes = await store.nodeHashes(level * 8, range)
      return hashes && concat(...hashes)
    }
    const leaves = await store.leafData(range)
    return leaves && concat(...leaves.flatMap((data) => [Uint8Array.of(data.length >> 8, data.length & 0xff), data]))
  }
}

/** Whoever watches the log may do it from a page of their own. */
function open(reply: FastifyReply): FastifyReply {
  return reply.header("access-control-allow-origin", "*").header("cross-origin-resource-policy", "cross-origin")
}

/** `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`: N in groups of three digits, an x before all but the last. */
function parsePlace(path: string): TilePlace | null {
  const match = /^(entries|0|[1-9]\d?)\/((?:x\d{3}\/){0,4}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/.exec(path)
  if (match === null) return null
  const [, kind, groups, partial] = match
  const level = kind === "entries" ? null : Number(kind)
  const index = Number(groups!.replaceAll(/[x/]/g, ""))
  // The one spelling: no group of zeros in front.
  const spelled = groups!.startsWith("x000")
  if ((level ?? 0) > 63 || spelled || (partial !== undefined && Number(partial) >= width)) return null
  return { level, index, width: partial === undefined ? width : Number(partial) }
}
