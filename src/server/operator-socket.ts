import { chmod, lstat, mkdtemp, rm, symlink } from "node:fs/promises"
import { connect, createServer, type Server, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { AppError } from "../errors.ts"
import type { DataFolder } from "./data-folder.ts"
import {
  type Operator,
  type OperatorReply,
  type OperatorRequest,
  operatorRefusal,
  operatorReplies,
  operatorRequest,
} from "./operator.ts"

const socketName = "operator.sock"
/** The longest address of a socket that every system takes, in bytes. Source: unix(7), and 104 with its zero on macOS. */
const addressBytes = 103
const requestBytes = 64 * 1024
const replyBytes = 64 * 1024 * 1024
const silenceMs = 30_000

/** Listens for whoever runs the server: who may enter the data folder is the operator. One line of JSON in, one out. A folder that
 * takes no socket serves physicians all the same.
 * @param url the server's own address; null where it does not know it. @returns what ends it */
export async function listenForOperator(
  folder: DataFolder,
  operator: Operator,
  url: string | null,
  notice: (text: string) => void,
): Promise<() => Promise<void>> {
  const path = join(folder.path, socketName)
  const server = createServer((socket) => {
    answer(socket, operator, url).catch(() => socket.destroy())
  })
  try {
    // Whatever lies there is of a server that was killed: this one holds the folder's lock.
    if ((await lstat(path).catch(() => null))?.isSocket()) await rm(path)
    await atShortPath(folder, (short) => listening(server, short))
    await chmod(path, 0o600)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "?"
    notice(`${path} cannot be made (${code}): "healthcrypt accounts" cannot reach this server.`)
    return async () => {}
  }
  server.unref()
  return async () => {
    await new Promise<void>((done) => server.close(() => done()))
    await rm(path, { force: true })
  }
}

/** Asks the server that runs on a data folder. @throws UNAVAILABLE_SERVER where none runs; whatever it refuses with */
export async function askOperator<Do extends OperatorRequest["do"]>(
  folder: DataFolder,
  request: Extract<OperatorRequest, { do: Do }>,
): Promise<OperatorReply<Do>> {
  const line = await atShortPath(folder, (short) => exchange(short, JSON.stringify(request))).catch((cause) => {
    throw cause instanceof AppError ? cause : silent(folder, cause)
  })
  const given = parse(line)
  const refused = operatorRefusal.safeParse(given)
  if (refused.success) throw new AppError(refused.data.code, refused.data.message)
  const reply = operatorReplies[request.do].safeParse(given)
  if (!reply.success) throw new AppError("UNAVAILABLE", "The server's answer was not understood. Restart the server.")
  return reply.data as OperatorReply<Do>
}

async function answer(socket: Socket, operator: Operator, url: string | null): Promise<void> {
  socket.setTimeout(silenceMs, () => socket.destroy())
  const request = operatorRequest.safeParse(parse(await readLine(socket, requestBytes)))
  const reply = request.success
    ? await operator.answer(request.data, url).catch(refusalOf)
    : refusalOf(new AppError("BAD_INPUT_FORMAT"))
  socket.end(`${JSON.stringify(reply)}\n`)
}

function refusalOf(error: unknown): { code: string; message: string } {
  const { code, message } = error instanceof AppError ? error : new AppError("UNAVAILABLE")
  return { code, message }
}

async function exchange(path: string, request: string): Promise<string> {
  const socket = connect(path)
  try {
    socket.setTimeout(silenceMs, () => socket.destroy(new Error("no answer")))
    socket.write(`${request}\n`)
    return await readLine(socket, replyBytes)
  } finally {
    socket.destroy()
  }
}

async function readLine(socket: Socket, mostBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > mostBytes) throw new AppError("BAD_INPUT_SIZE")
    chunks.push(chunk)
    if (chunk.includes(10)) break
  }
  return Buffer.concat(chunks).toString("utf8").split("\n", 1)[0] ?? ""
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject)
    server.listen(path, () => {
      server.off("error", reject)
      resolve()
    })
  })
}

/** Runs work with an address of the folder's socket that no system finds too long: a folder deep down is reached by a link in a
 * folder of this process's own. */
async function atShortPath<T>(folder: DataFolder, work: (path: string) => Promise<T>): Promise<T> {
  const path = join(folder.path, socketName)
  if (Buffer.byteLength(path) <= addressBytes) return work(path)
  const own = await mkdtemp(join(tmpdir(), "hc-"))
  try {
    await symlink(folder.path, join(own, "d"))
    return await work(join(own, "d", socketName))
  } finally {
    await rm(own, { recursive: true, force: true })
  }
}

function silent(folder: DataFolder, cause: unknown): AppError {
  const denied = ["EACCES", "EPERM"].includes((cause as NodeJS.ErrnoException).code ?? "")
  return new AppError(
    denied ? "NOT_ALLOWED" : "UNAVAILABLE_SERVER",
    denied
      ? `This user may not ask the server on ${folder.path}. Run this as the user that runs the server.`
      : `No server runs on ${folder.path}. Start it with healthcrypt serve, or name its folder with --data.`,
    { cause },
  )
}
