import { Readable } from "node:stream"
import { concat, u32be } from "../../encoding/bytes.ts"
import { idBytes } from "../../encoding/ids.ts"
import { demandTokenForm } from "../../encoding/token-form.ts"
import { AppError } from "../../errors.ts"
import { standsFor } from "../../proof/account-statement.ts"
import { paths } from "../../protocol/paths.ts"
import { segmentBody, segmentMaxBytes, segmentParams, segmentsType } from "../../protocol/records.ts"
import { demandAccount } from "../statements.ts"
import type { Segment } from "../store/store.ts"
import { type Api, type RouteContext, sessionOf, signedIn } from "./context.ts"

const pieceBytes = 64 * 1024
/** The segment that is being sent, and pieces on their way. */
const streamBytes = segmentMaxBytes + 16 * pieceBytes

/** The roster's sealed segments, as bytes: only inserted. Those that a keyring does not list go with it, and nothing else deletes. */
export function segmentRoutes(app: Api, { store, sessions }: RouteContext): void {
  // A HEAD would read all of them for nothing.
  const options = { ...signedIn(sessions), config: { streamBytes }, exposeHeadRoute: false }
  app.get(paths.segments, options, async (request, reply) =>
    reply.type(segmentsType).send(Readable.from(pack(store.segments(sessionOf(request).physician)))),
  )

  app.put(
    paths.segment,
    { ...signedIn(sessions), schema: { params: segmentParams }, bodyLimit: segmentBody.maxBytes },
    async (request, reply) => {
      const { body } = request
      if (!(body instanceof Uint8Array)) throw new AppError("BAD_INPUT_FORMAT")
      const { signed, token } = segmentBody.parse(body)
      if (token.length > segmentMaxBytes) throw new AppError("BAD_INPUT_SIZE")
      demandTokenForm(token, "padded")
      const { physician } = sessionOf(request)
      const id = request.params.segment
      const { items } = await demandAccount(store, physician, "segments", signed)
      if (items.length !== 1 || !standsFor(items[0], id, 0, token)) throw new AppError("BAD_INPUT_STATEMENT")
      await store.putSegment(physician, { id, token, signed })
      return reply.code(204).send()
    },
  )
}

/** 16 B id, u32be length, token; again and again, as fast as the client takes them. */
async function* pack(segments: AsyncIterable<Segment>): AsyncGenerator<Uint8Array> {
  for await (const { id, token } of segments) {
    yield concat(idBytes(id), u32be(token.length))
    // Copies: a part of a token would keep all of it while it waits.
    for (let at = 0; at < token.length; at += pieceBytes) yield token.slice(at, at + pieceBytes)
  }
}
