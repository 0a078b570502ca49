import { connect } from "../src/cli/http.ts"
import type { Send } from "../src/client/transport.ts"
import { parseUtf8, utf8 } from "../src/encoding/bytes.ts"
import { peerPassword } from "./peer.ts"

/** Somebody signed in to the peer, over the very HTTP that our command line speaks. */
export interface PeerClient {
  readonly cookie: string
  get(path: string): Promise<string>
  /** Posts a form with the page's CSRF token, which is good for an hour. Follows no redirect. */
  post(path: string, fields: Readonly<Record<string, string>>): Promise<void>
  close(): void
}

export async function openPeer(url: string, username: string, isNew: boolean): Promise<PeerClient> {
  const cookies = new Map<string, string>()
  const login = await pageOf(url, "/login", cookies)
  if (isNew) {
    const fields = { first_name: "Ada", last_name: "Byron", password2: peerPassword }
    await submit(url, "/register", cookies, { username, password: peerPassword, ...fields, csrf_token: csrf(login) })
  }
  await submit(url, "/login", cookies, { username, password: peerPassword, csrf_token: csrf(login) })
  const form = await pageOf(url, "/record/new", cookies)
  const connection = connect(url, undefined)
  const cookie = cookieOf(cookies)
  const token = csrf(form)
  return {
    cookie,
    close: connection.close,
    get: async (path) => {
      const { status, body } = await connection.send({ method: "GET", path, headers: { cookie } })
      if (status !== 200) throw new Error(`the peer answered GET ${path} with ${status}`)
      return parseUtf8(body)
    },
    post: (path, fields) => postForm(connection.send, path, cookie, { ...fields, csrf_token: token }),
  }
}

async function postForm(send: Send, path: string, cookie: string, fields: Record<string, string>): Promise<void> {
  const headers = { cookie, "content-type": "application/x-www-form-urlencoded" }
  const body = utf8(new URLSearchParams(fields).toString())
  const { status } = await send({ method: "POST", path, headers, body })
  if (status !== 302) throw new Error(`the peer answered POST ${path} with ${status}`)
}

async function pageOf(url: string, path: string, cookies: Map<string, string>): Promise<string> {
  const response = await fetch(url + path, { headers: { cookie: cookieOf(cookies) }, redirect: "manual" })
  keep(response, cookies)
  return response.text()
}

async function submit(
  url: string,
  path: string,
  cookies: Map<string, string>,
  fields: Record<string, string>,
): Promise<void> {
  const response = await fetch(url + path, {
    method: "POST",
    headers: { cookie: cookieOf(cookies) },
    body: new URLSearchParams(fields),
    redirect: "manual",
  })
  if (response.status !== 302) throw new Error(`the peer answered POST ${path} with ${response.status}`)
  keep(response, cookies)
}

function keep(response: Response, cookies: Map<string, string>): void {
  for (const line of response.headers.getSetCookie()) {
    const [pair = ""] = line.split(";")
    cookies.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1))
  }
}

function cookieOf(cookies: ReadonlyMap<string, string>): string {
  return [...cookies].map(([name, value]) => `${name}=${value}`).join("; ")
}

function csrf(page: string): string {
  return /name="csrf_token"[^>]*value="([^"]+)"/.exec(page)?.[1] ?? ""
}
