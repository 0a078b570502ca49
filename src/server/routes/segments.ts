import { Readable } from "node:stream"
import { concat, u32be } from "../../encoding/bytes.ts"
import { idBytes } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import { paths } from "../../protocol/paths.ts"
import { segmentMaxBytes, segmentParams, segmentsType } from "../../protocol/records.ts"
import type { Segment } from "../store/store.ts"
import { type Api, type RouteContext, sessionOf, signedIn } from "./context.ts"

/** The roster's sealed segments, as raw bytes: never rewritten, only replaced by others. */
export function segmentRoutes(app: Api, { store, sessions }: RouteContext): void {
  app.get(paths.segments, signedIn(sessions), async (request, reply) =>
    reply.type(segmentsType).send(Readable.from(pack(store.segments(sessionOf(request).physician)))),
  )

  app.put(
    paths.segment,
    { ...signedIn(sessions), schema: { params: segmentParams }, bodyLimit: segmentMaxBytes },
    async (request, reply) => {
      const { body } = request
      if (!(body instanceof Uint8Array) || body.length === 0) throw new AppError("BAD_INPUT_FORMAT")
      await store.putSegment(sessionOf(request).physician, { id: request.params.segment, token: body })
      return reply.code(204).send()
    },
  )

  app.delete(paths.segment, { ...signedIn(sessions), schema: { params: segmentParams } }, async (request, reply) => {
    await store.deleteSegment(sessionOf(request).physician, request.params.segment)
    return reply.code(204).send()
  })
}

/** 16 B id, u32be length, token; again and again, as fast as the client takes them. */
async function* pack(segments: AsyncIterable<Segment>): AsyncGenerator<Uint8Array> {
  for await (const { id, token } of segments) {
    yield concat(idBytes(id), u32be(token.length))
    yield token
  }
}
