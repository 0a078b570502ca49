import type { Page } from "playwright-core"
import { signIn as signInWith } from "../../src/client/account.ts"
import { savePatient } from "../../src/client/edits.ts"
import { acceptInvitations } from "../../src/client/invitations.ts"
import { share as shareRecords } from "../../src/client/sharing.ts"
import { formOf } from "../../src/clinical/form.ts"
import { AppError, type ErrorCode } from "../../src/errors.ts"
import { type Cast, fieldsOf, many, password, patients, type RecordName, refusalOf, type Username } from "./cast.ts"
import type { Client, Device } from "./stage.ts"

/** Something that a physician does, in each of the three ways to do it. */
export interface Step {
  readonly name: string
  readonly who: Username
  readonly device: Device
  /** A family name that a refusal must not show; `null` where the step is about no patient. */
  readonly hidden: string | null
  /** Whether it leaves something behind: then each way to do it gets a world of its own. */
  readonly changes: boolean
  /** @throws the refusal, whether the client threw it or noted it beside the record */
  client(client: Client, cast: Cast): Promise<void>
  command(cast: Cast): { readonly args: readonly string[]; readonly input?: unknown }
  /** Ends when what was wanted is shown; or, where a refusal is awaited, goes on to where the page shows its reason. */
  page(page: Page, url: string, cast: Cast, refusalIsAwaited: boolean): Promise<void>
}

type Options = { readonly who?: Username; readonly device?: Device }

/** Opens the list of patients, of whom this one is. */
export function home(name: RecordName, { who = "ben", device = "same" }: Options = {}): Step {
  return {
    name: `${who} opens the list with “${name}” on the ${device} device`,
    who,
    device,
    hidden: patients[name],
    changes: false,
    async client({ open }, { records }) {
      const { roster } = await open()
      throwIf(roster.refused.get(records[name])?.code ?? null)
      if (roster.rows.get(records[name])?.lastName !== patients[name]) throw new Error("not in the list")
    },
    command: () => ({ args: ["records", "list"] }),
    async page(page, url, { records }, refusalIsAwaited) {
      await enter(page, url, "/", who, device)
      if (!refusalIsAwaited) return page.getByRole("link", { name: patients[name] }).waitFor()
      // The list says that something is refused, and the record's own page why.
      await page.getByRole("link", { name: `record ${records[name].slice(0, 6)}` }).click()
    },
  }
}

/** Opens one record. */
export function record(name: RecordName, { who = "ben", device = "same" }: Options = {}): Step {
  return {
    name: `${who} opens “${name}” on the ${device} device`,
    who,
    device,
    hidden: patients[name],
    changes: false,
    async client({ open }, { records }) {
      const work = await open()
      const { chart } = await work.records.open(records[name])
      if (formOf(chart).lastName !== patients[name]) throw new Error("another patient")
    },
    command: ({ records }) => ({ args: ["records", "show", records[name]] }),
    async page(page, url, { records }) {
      await enter(page, url, `/records/${records[name]}`, who, device)
      await page.getByRole("heading", { name: `Pat ${patients[name]}` }).waitFor()
    },
  }
}

/** Changes the diagnosis. */
export function write(name: RecordName, { who = "ben", device = "same" }: Options = {}): Step {
  return {
    name: `${who} writes in “${name}”`,
    who,
    device,
    hidden: patients[name],
    changes: true,
    async client({ open }, { records }) {
      const work = await open()
      const { head } = await work.records.open(records[name])
      await savePatient(work, records[name], head.seq, fieldsOf(name, "Scurvy"))
    },
    command: ({ records }) => ({ args: ["records", "edit", records[name]], input: { diagnosis: "Scurvy" } }),
    async page(page, url, { records }) {
      await enter(page, url, `/records/${records[name]}/edit`, who, device)
      await page.getByLabel("Diagnosis").fill("Scurvy")
      await page.getByRole("button", { name: "Save", exact: true }).click()
      await page.waitForURL(`**/records/${records[name]}`)
      await page.getByRole("heading", { name: `Pat ${patients[name]}`, exact: true }).waitFor()
      await page.getByText("Scurvy").first().waitFor()
    },
  }
}

/** Accepts the invitation to a record. */
export function accept(name: RecordName, from: Username = "ada", { who = "ben", device = "same" }: Options = {}): Step {
  return {
    name: `${who} accepts “${name}” from ${from}`,
    who,
    device,
    hidden: patients[name],
    changes: true,
    async client({ open }, { records }) {
      const work = await open()
      throwIf(refusalOf(await acceptInvitations(work, [records[name]], many)))
      if (work.roster.rows.get(records[name])?.lastName !== patients[name]) throw new Error("not in the list")
    },
    command: ({ records }) => ({ args: ["shares", "accept", records[name]] }),
    async page(page, url, { records }) {
      await enter(page, url, "/invitations", who, device)
      const button = page.getByRole("button", { name: new RegExp(`^Accept.* from ${from}$`) })
      await button.waitFor()
      // Where the same colleague gives more than one.
      const tick = page.getByLabel(`Record ${records[name].slice(0, 6)}`)
      if ((await tick.count()) > 0) await tick.check()
      await button.click()
      await page.getByText("1 record accepted.").waitFor()
      await page.getByRole("link", { name: "Go to your patients" }).click()
      await page.getByRole("link", { name: patients[name] }).waitFor()
    },
  }
}

/** Shares a record with a colleague who was verified. */
export function share(name: RecordName, to: Username, { who = "ada", device = "same" }: Options = {}): Step {
  return {
    name: `${who} shares “${name}” with ${to}`,
    who,
    device,
    hidden: null,
    changes: true,
    async client({ open }, { records }) {
      throwIf(refusalOf(await shareRecords(await open(), [records[name]], to, "reader", null, many)))
    },
    command: ({ records }) => ({ args: ["share", records[name], to, "--role", "reader"] }),
    async page(page, url, { records }) {
      await enter(page, url, `/records/${records[name]}/sharing`, who, device)
      await page.getByLabel("Colleague’s username").fill(to)
      await page.getByRole("button", { name: "Share", exact: true }).click()
      await page.getByText(`Shared with ${to} as reader.`).waitFor()
    },
  }
}

/** Looks a colleague up. */
export function find(whom: Username, { who = "ben", device = "same" }: Options = {}): Step {
  return {
    name: `${who} looks ${whom} up`,
    who,
    device,
    hidden: null,
    changes: false,
    async client({ open }) {
      const { session } = await open()
      session.people.view(await session.people.find(whom))
    },
    command: () => ({ args: ["physicians", "show", whom] }),
    async page(page, url) {
      await enter(page, url, `/colleagues/${whom}`, who, device)
      await page.getByRole("heading", { name: "Your safety number" }).waitFor()
    },
  }
}

/** Signs in with the password on a device that may have been there before. */
export function signIn(who: Username = "ben", device: Device = "same"): Step {
  return {
    name: `${who} signs in on the ${device} device`,
    who,
    device,
    hidden: null,
    changes: false,
    async client({ around }) {
      await signInWith(around, who, password)
    },
    command: () => ({ args: ["records", "list"] }),
    async page(page, url) {
      if (device === "same") await page.context().clearCookies()
      await enter(page, url, "/login", who, "fresh")
      await page.getByRole("heading", { name: /^Welcome/ }).waitFor()
    },
  }
}

/** Goes to a page, and signs in on the way where the browser has no session. */
async function enter(page: Page, url: string, path: string, who: Username, device: Device): Promise<void> {
  await page.goto(url + path)
  if (device === "same") return
  await page.getByLabel("Username").fill(who)
  await page.getByLabel("Password", { exact: true }).fill(password)
  await page.getByRole("button", { name: "Sign in" }).click()
}

function throwIf(code: ErrorCode | null): void {
  if (code !== null) throw new AppError(code)
}
