import { cp, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser, BrowserContext, Page } from "playwright-core"
import { Pins } from "../../src/client/pins.ts"
import type { Surroundings } from "../../src/client/session.ts"
import { memoryStorage } from "../../src/client/storage.fixture.ts"
import type { Workspace } from "../../src/client/workspace.ts"
import { sealedIn, signIn } from "../browser/page.ts"
import { launchChromium } from "../chromium.ts"
import { Desk } from "../cli.ts"
import type { Between } from "../practice.ts"
import { assemble, type Cast, password, resume, type Username } from "./cast.ts"
import { blank, type Door, openDoor } from "./door.ts"
import { copyWorld, openWorld, type World } from "./world.ts"

/** One practice whose server can be made to do anything, and honest clients of it: in this process, at a command line, in a browser.
 * Each goes through a proxy of its own. Whatever is done to a copy of the practice is gone with it. */
export interface Stage {
  readonly cast: Cast
  /** Does something in a copy of the practice, which ends with it. */
  inWorld(work: (world: World) => Promise<void>): Promise<void>
  /** A copy of the practice that whoever asks ends. */
  fork(): Promise<{ readonly world: World; remove(): Promise<void> }>
  /** Where Node keeps what it has compiled. */
  readonly compiled: string
  readonly doors: { readonly client: Door; readonly command: Door; readonly page: Door }
  /** A client in this process. */
  client<T>(username: Username, device: Device, use: (client: Client) => Promise<T>): Promise<T>
  /** A command line. */
  desk<T>(username: Username, device: Device, use: (desk: Desk) => Promise<T>): Promise<T>
  /** A browser on an empty page at the practice's address, signed in where `device` is "same". */
  page<T>(username: Username, device: Device, use: (page: Page, url: string) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** One that was there from the beginning, and remembers how it was; or one that has never seen this practice. */
export type Device = "same" | "fresh"

export interface Client {
  readonly around: Surroundings
  /** Stands up the session, opens the roster, pulls what is new, looks at every leaf. */
  open(): Promise<Workspace>
}

/** @param browsers who has a browser that is signed in: each costs a second */
export async function openStage(browsers: readonly Username[] = ["ben", "ada"]): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), "healthcrypt-stage-"))
  const homes = join(folder, "homes")
  const start = await openWorld(join(folder, "data"))
  const cast = await assemble(start.url, homes)
  const [client, command, door] = await Promise.all([openDoor(), openDoor(), openDoor()])
  let launched: Promise<Browser> | null = null
  const browser = () => {
    launched ??= launchChromium()
    return launched
  }
  const remembered = new Map<Username, Remembered>()
  door.open(start.url, null)
  for (const username of browsers)
    remembered.set(username, await signInThrough(await browser(), door.url, start, cast, username))
  await start.close()
  const fork = async () => {
    const world = await openWorld(await copyWorld(start.folder))
    const remove = async () => {
      await world.close()
      await rm(world.folder, { recursive: true, force: true })
    }
    return { world, remove }
  }
  let copies = 0
  const home = async (username: Username, device: Device) => {
    const copy = join(folder, "copies", String(copies++))
    if (device === "same") await cp(join(homes, username), copy, { recursive: true })
    return copy
  }
  return {
    cast,
    compiled: join(folder, "compiled"),
    fork,
    async inWorld(work) {
      const { world, remove } = await fork()
      try {
        await work(world)
      } finally {
        await remove()
      }
    },
    doors: { client, command, page: door },
    async client(username, device, use) {
      const { around, open, close } = await resume(client.url, cast.signedIn[username], await home(username, device))
      try {
        return await use({ around, open })
      } finally {
        close()
      }
    },
    async desk(username, device, use) {
      const where = { server: command.url, username, password, home: await home(username, device) }
      return use(new Desk(where))
    },
    async page(username, device, use) {
      const known = remembered.get(username)
      if (device === "same" && known === undefined) throw new Error(`${username} has no browser on this stage`)
      const context = device === "same" ? known!.context : await (await browser()).newContext({ locale: "en-GB" })
      // A tab of its own: what a refused step still waits for ends with it, and types nothing into the next one's page.
      const page = await context.newPage()
      context.setDefaultTimeout(30_000)
      try {
        await page.goto(door.url + blank)
        if (device === "same") await restore(known!, page)
        return await use(page, door.url)
      } finally {
        // The page's own work ends here, before what is behind the door goes.
        if (device === "same") await page.goto(door.url + blank)
        await page.close()
        if (device !== "same") await context.close()
      }
    },
    async close() {
      await (await launched)?.close()
      await Promise.all([client.close(), command.close(), door.close()])
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Puts a world behind all doors, with an attack of each door's own. */
export function openDoors(stage: Stage, world: World, between: () => Between | null): void {
  for (const door of Object.values(stage.doors)) door.open(world.url, between())
}

/** A browser's memory of a practice, as it was before anything went wrong. */
interface Remembered {
  readonly context: BrowserContext
  readonly cookies: Awaited<ReturnType<BrowserContext["cookies"]>>
  readonly hints: [string, string][]
  readonly sealed: [string, number[]][]
}

async function signInThrough(
  browser: Browser,
  url: string,
  world: World,
  cast: Cast,
  username: Username,
): Promise<Remembered> {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 800 } })
  const page = await context.newPage()
  const name = { ada: "Ada Byron", ben: "Ben Bova", cyd: "Cyd Carr", dee: "Dee Dorn", gus: "Gus Gray" }[username]
  await signIn(page, url, username, name)
  await page.getByText(/\d+ patients? · sorted/).waitFor()
  // What was seen is stored a second later: until the whole log is, and nothing follows.
  for (let looks = 0; looks < 3; ) {
    await page.waitForTimeout(500)
    const storage = memoryStorage(new Map((await sealedIn(page)).map(([key, bytes]) => [key, Uint8Array.from(bytes)])))
    const { tree } = await Pins.load(storage, cast.signedIn[username].key, world.store.practice, cast.ids[username])
    looks = tree.size === world.store.treeHead().size ? looks + 1 : 0
  }
  await page.goto(url + blank)
  const hints = await page.evaluate(() => Object.entries(localStorage) as [string, string][])
  return { context, cookies: await context.cookies(), hints, sealed: await sealedIn(page) }
}

async function restore({ context, cookies, hints, sealed }: Remembered, page: Page): Promise<void> {
  await context.clearCookies()
  await context.addCookies(cookies)
  await page.evaluate(
    async ([words, pairs]) => {
      localStorage.clear()
      for (const [name, value] of words) localStorage.setItem(name, value)
      const database = await new Promise<IDBDatabase>((resolve, reject) => {
        const request = indexedDB.open("healthcrypt", 1)
        request.onsuccess = () => resolve(request.result)
        request.onerror = () => reject(request.error)
      })
      const transaction = database.transaction("sealed", "readwrite")
      const store = transaction.objectStore("sealed")
      store.clear()
      for (const [key, bytes] of pairs) store.put(Uint8Array.from(bytes), key)
      await new Promise((resolve) => {
        transaction.oncomplete = resolve
      })
      database.close()
    },
    [hints, sealed] as const,
  )
}
