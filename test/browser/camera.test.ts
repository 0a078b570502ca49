import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { encodeQR } from "qr"
import { decodeQR } from "qr/decode.js"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Clinic, confirmWords, openClinic, signUp } from "./page.ts"

const width = 640
const height = 480
const moduleSize = 7

/** Chromium plays a film for a camera: the other's page, held before it. */
describe("the camera", () => {
  let folder: string
  let film: string
  let clinic: Clinic

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "healthcrypt-camera-"))
    film = join(folder, "film.y4m")
    await writeFile(film, filmOf("nothing that means anything"))
    clinic = await openClinic([
      "--use-fake-ui-for-media-stream",
      "--use-fake-device-for-media-stream",
      `--use-file-for-fake-video-capture=${film}`,
    ])
  })
  afterAll(async () => {
    await clinic.close()
    await rm(folder, { recursive: true, force: true })
    expect(clinic.complaints).toEqual([])
  })

  it("reads a colleague's code, and is let go afterwards", async () => {
    const visitors = []
    for (const username of ["ada", "beta"]) {
      const visitor = await clinic.visitor({ permissions: ["camera"] })
      await confirmWords(visitor.page, await signUp(visitor.page, clinic.url, username))
      await visitor.page.getByText("No patients yet").waitFor()
      visitors.push(visitor)
    }
    const [ada, beta] = visitors
    if (!ada || !beta) throw new TypeError("Two visitors were asked for")
    const { page } = ada
    await page.goto(`${clinic.url}/colleagues/beta`)
    await page.getByRole("button", { name: "Use the camera" }).click()
    await page.getByText("These numbers are not the same. Nothing was verified.").waitFor()
    expect(await page.locator("video").count()).toBe(0)

    await beta.page.goto(`${clinic.url}/colleagues/ada`)
    const picture = await beta.page.getByRole("img", { name: /QR code/ }).screenshot()
    await writeFile(film, filmOf(await codeIn(beta.page, picture)))
    await page.getByRole("button", { name: "Use the camera" }).click()
    await page.getByText(/You verified beta on .* by scanning their code/).waitFor()
    expect(await page.locator("video").count()).toBe(0)
  })

  /** What a picture's code says, read by a browser and the library, past the page. */
  async function codeIn(page: Awaited<ReturnType<Clinic["visitor"]>>["page"], png: Buffer): Promise<string> {
    const pixels = await page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
      const bitmap = await createImageBitmap(new Blob([bytes]))
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d")
      context?.drawImage(bitmap, 0, 0)
      const data = context?.getImageData(0, 0, bitmap.width, bitmap.height).data
      return { width: bitmap.width, height: bitmap.height, data: [...(data ?? [])] }
    }, png.toString("base64"))
    return decodeQR({ ...pixels, data: Uint8ClampedArray.from(pixels.data) }, { timeLimit: 2000 })
  }
})

/** A few frames of a QR code on white, as an uncompressed film that Chromium takes for a camera. */
function filmOf(text: string): Buffer {
  const rows = encodeQR(text, "raw", { border: 4 })
  const luma = Buffer.alloc(width * height, 235)
  const [left, top] = [width, height].map((length) => Math.floor((length - rows.length * moduleSize) / 2))
  for (const [y, row] of rows.entries()) {
    for (const [x, dark] of row.entries()) {
      if (!dark) continue
      for (let line = 0; line < moduleSize; line++) {
        const start = ((top ?? 0) + y * moduleSize + line) * width + (left ?? 0) + x * moduleSize
        luma.fill(16, start, start + moduleSize)
      }
    }
  }
  const frame = [Buffer.from("FRAME\n"), luma, Buffer.alloc((width * height) / 2, 128)]
  return Buffer.concat([
    Buffer.from(`YUV4MPEG2 W${width} H${height} F10:1 Ip A1:1 C420jpeg\n`),
    ...Array.from({ length: 4 }, () => frame).flat(),
  ])
}
