import type { RequestListener } from "node:http"
import type { Socket } from "node:net"

/** Browsers and proxies send no request ahead; one may overtake the end of the answer before it. */
const aheadAtMost = 2

/** Answers the requests of a connection one after the other, and closes a connection that sends many ahead. Node hands over a thousand at
 * once that were written behind each other, and an answer that waits for another one's end does not hear of its connection's: its
 * file would stay open. What waits here has nothing yet. */
export function oneByOne(answer: RequestListener): RequestListener {
  const ahead = new WeakMap<Socket, number>()
  return (request, response) => {
    const { socket } = request
    // Only the answer whose turn it is has the socket.
    if (response.socket !== null) return answer(request, response)
    const waiting = ahead.get(socket) ?? 0
    if (waiting === aheadAtMost) return void socket.destroy()
    ahead.set(socket, waiting + 1)
    response.once("socket", () => {
      ahead.set(socket, ahead.get(socket)! - 1)
      process.nextTick(() => {
        if (!socket.destroyed) answer(request, response)
      })
    })
  }
}
