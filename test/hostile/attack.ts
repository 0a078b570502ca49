import { join } from "node:path"
import type { Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { connect } from "../../src/cli/http.ts"
import { fileStorage } from "../../src/cli/storage.ts"
import { HomeList } from "../../src/client/home.ts"
import type { Surroundings } from "../../src/client/session.ts"
import { Transport } from "../../src/client/transport.ts"
import type { Workspace } from "../../src/client/workspace.ts"
import type { RecordId } from "../../src/encoding/ids.ts"
import { AppError, type ErrorCode, errors } from "../../src/errors.ts"
import type { Between } from "../practice.ts"
import { type Cast, type RecordName, resume, type Username } from "./cast.ts"
import { openDoors, openStage, type Stage } from "./stage.ts"
import type { Step } from "./steps.ts"
import type { World } from "./world.ts"

/** What an attack has to work with. */
export interface Scene {
  readonly cast: Cast
  readonly world: World
  /** One of the cast in league with the server: their client, past the proxy, with their keys.
   * @param there in another world than the one that the step is done in */
  accomplice(username: Username, there?: World): Promise<Workspace>
  /** The same practice from the same beginning: a fork. */
  fork(): Promise<World>
  /** What somebody needs who has never been here. */
  newcomer(): Surroundings
  /** From here on the step is about this record. */
  rename(name: RecordName, id: RecordId): void
}

/** What is done beside, or in the place of, what an honest server does. */
export interface Deed {
  /** Done to the practice before the step, such as to its database, or by an accomplice. */
  readonly plant?: (scene: Scene) => Promise<void> | void
  /** Stands between a client and its server while the step goes on. Made anew for each way to do the step. */
  readonly between?: (scene: Scene) => Between
  /** What has to hold of the practice when the step is over. */
  readonly after?: (scene: Scene) => Promise<void> | void
}

export interface Attack extends Deed {
  readonly name: string
  readonly code: ErrorCode
  /** What the physician does who meets it. */
  readonly step: Step
  /** What a page says in other words than the code and its advice. */
  readonly says?: RegExp
  /** What has to go on without a refusal, where that is more than the step itself: the same deed, honestly done. */
  readonly honest?: Deed
}

const nothing: Deed = {}
/** Three programs share two cores with whatever else runs. */
const longestMs = 180_000
/** For who looks into one case: HOSTILE_WAYS=client,command leaves the browser out. */
const onlyWays = process.env.HOSTILE_WAYS?.split(",")

/** A file's attacks on a stage of its own. For each: without it the step succeeds in all three ways; with it the client, the command
 * and the page refuse with its code, and show nothing of the patient. */
export function describeAttacks(title: string, attacks: readonly Attack[], browsers?: readonly Username[]): void {
  describe(title, () => {
    let stage: Stage
    /** What went on without a refusal, by the deed that was done, and the step. */
    const controls = new Map<Deed, Map<string, Promise<void>>>()
    beforeAll(async () => {
      stage = await openStage(onlyWays?.includes("page") === false ? [] : browsers)
    })
    afterAll(() => stage?.close())

    const control = ({ step, honest = nothing }: Attack): Promise<void> => {
      const ofDeed = controls.get(honest) ?? new Map<string, Promise<void>>()
      const known = ofDeed.get(step.name) ?? play(stage, step, honest, false, expectSuccess)
      controls.set(honest, ofDeed.set(step.name, known))
      return known
    }

    for (const attack of attacks)
      it(attack.name, { timeout: longestMs }, async () => {
        await control(attack)
        await play(stage, attack.step, attack, true, (tried) => expectRefusal(attack, tried))
      })
  })
}

/** How a step went in one of the three ways. */
type Tried =
  | { readonly by: "client"; readonly error: unknown; readonly work: Workspace | null }
  | { readonly by: "command"; readonly code: number | null; readonly stdout: string; readonly stderr: string }
  | { readonly by: "page"; readonly page: Page; readonly went: Promise<void> }

type Judge = (tried: Tried) => Promise<void> | void

/** A step on its way. */
interface Run {
  readonly stage: Stage
  readonly step: Step
  readonly cast: Cast
  readonly refusalIsAwaited: boolean
  readonly judge: Judge
}

/** Does a step in all three ways while a deed is done, in a world, or worlds, that end with it. */
async function play(stage: Stage, step: Step, deed: Deed, refusalIsAwaited: boolean, judge: Judge): Promise<void> {
  const all = [byClient, byCommand, byPage] as const
  const ways = all.filter(({ door }) => onlyWays === undefined || onlyWays.includes(door))
  for (const share of step.changes ? ways.map((way) => [way]) : [ways])
    await stage.inWorld((world) =>
      inScene(stage, world, async (scene) => {
        await deed.plant?.(scene)
        openDoors(stage, world, () => deed.between?.(scene) ?? null)
        const run = { stage, step, cast: scene.cast, refusalIsAwaited, judge }
        const done = await Promise.allSettled(share.map((way) => way(run)))
        for (const { door } of share) {
          const { faults, struck } = stage.doors[door]
          expect(faults, "the attack itself").toEqual([])
          if (deed.between !== undefined) expect(struck, `what the ${door} was told`).toBeGreaterThan(0)
        }
        for (const one of done) if (one.status === "rejected") throw one.reason
        await deed.after?.(scene)
      }),
    )
}

/** Lets go of all that a scene has called in. */
async function inScene(stage: Stage, world: World, work: (scene: Scene) => Promise<void>): Promise<void> {
  const closing: (() => Promise<void> | void)[] = []
  const records = { ...stage.cast.records }
  try {
    await work({
      cast: { ...stage.cast, records },
      world,
      async accomplice(username, there = world) {
        const home = join(there.folder, "accomplices", username)
        const { open, close } = await resume(there.url, stage.cast.signedIn[username], home)
        closing.push(close)
        return open()
      },
      async fork() {
        const { world: other, remove } = await stage.fork()
        closing.push(remove)
        return other
      },
      newcomer() {
        const { send, close } = connect(world.url, undefined)
        closing.push(close)
        const storage = fileStorage(join(world.folder, "newcomer"))
        return { transport: new Transport(send), storage, carrier: "bearer", now: Date.now }
      },
      rename(name, id) {
        records[name] = id
      },
    })
  } finally {
    for (const close of closing) await close()
  }
}

function byClient({ stage, step, cast, judge }: Run): Promise<void> {
  return stage.client(step.who, step.device, async ({ around, open }) => {
    let work: Workspace | null = null
    const opening = async () => {
      work = await open()
      return work
    }
    const error = await step.client({ around, open: opening }, cast).then(
      () => null,
      (cause: unknown) => cause,
    )
    await judge({ by: "client", error, work })
  })
}
byClient.door = "client" as const

function byCommand({ stage, step, cast, judge }: Run): Promise<void> {
  return stage.desk(step.who, step.device, async (desk) => {
    const { args, input } = step.command(cast)
    // Every command is a process of its own: compiling the program is spared.
    const env = { NODE_COMPILE_CACHE: stage.compiled }
    await judge({ by: "command", ...(await desk.run(args, { input, env })) })
  })
}
byCommand.door = "command" as const

function byPage({ stage, step, cast, refusalIsAwaited, judge }: Run): Promise<void> {
  return stage.page(step.who, step.device, async (page, url) => {
    const went = step.page(page, url, cast, refusalIsAwaited)
    went.catch(() => {})
    await judge({ by: "page", page, went })
  })
}
byPage.door = "page" as const

async function expectSuccess(tried: Tried): Promise<void> {
  if (tried.by === "client") expect(tried.error, "the client").toBeNull()
  else if (tried.by === "command") expect(tried.code, `the command: ${tried.stderr}`).toBe(0)
  else
    await tried.went.catch(async (cause) => {
      throw new Error(`the page: ${await textOf(tried.page)}`, { cause })
    })
}

async function expectRefusal(attack: Attack, tried: Tried): Promise<void> {
  const { code, step, says } = attack
  const [advice] = errors[code][1].split(". ")
  const reason = new RegExp(`${code}|${RegExp.escape(advice!)}${says ? `|${says.source}` : ""}`)
  if (tried.by === "client") {
    const { error, work } = tried
    expect(error instanceof AppError ? error.code : error, "the client").toBe(code)
    if (work !== null && work.session.log.refusal === null) expectHidden(step, listOf(work), "the client's list")
  } else if (tried.by === "command") {
    const { stdout, stderr } = tried
    expect({ code: tried.code, stderr }, "the command").toEqual({
      code: code.startsWith("TAMPERED") ? 3 : 1,
      stderr: expect.stringMatching(reason),
    })
    expectHidden(step, stdout + stderr, "the terminal")
  } else {
    const { page } = tried
    const shown = page.getByText(reason).first()
    await Promise.race([shown.waitFor(), tried.went.then(() => shown.waitFor())]).catch(async (cause) => {
      throw new Error(`the page does not say ${code}: ${await textOf(page)}`, { cause })
    })
    expectHidden(step, `${await textOf(page)}${await page.content()}`, "the page")
  }
}

function expectHidden({ hidden }: Step, text: string, where: string): void {
  if (hidden !== null && text.includes(hidden)) throw new Error(`${where} shows the patient: ${text}`)
}

function listOf(work: Workspace): string {
  const query = { search: "", sort: "name", descending: false, archived: false, offset: 0, limit: 100 } as const
  return JSON.stringify(new HomeList(work).page(query, true, "2026-11-23").rows)
}

function textOf(page: Page): Promise<string> {
  return page.evaluate(() => `${document.title} ${document.documentElement.innerText}`)
}
