import { AxeBuilder } from "@axe-core/playwright"
import type { Page } from "playwright-core"
import { expect } from "vitest"

/** Demands that axe finds nothing and that nothing lies beyond the right edge, wide and narrow, light and dark. Leaves the page wide and
 * light. HEALTHCRYPT_PICTURES names a folder for screenshots. */
export async function look(page: Page, name: string): Promise<void> {
  const folder = process.env.HEALTHCRYPT_PICTURES
  for (const [width, colorScheme] of [
    [390, "dark"],
    [390, "light"],
    [1280, "dark"],
    [1280, "light"],
  ] as const) {
    await page.setViewportSize({ width, height: 900 })
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" })
    const { violations } = await new AxeBuilder({ page }).analyze()
    expect(violations, `${name}, ${width} px, ${colorScheme}`).toEqual([])
    expect(await page.evaluate(() => document.documentElement.scrollWidth), name).toBeLessThanOrEqual(width)
    if (folder) await page.screenshot({ path: `${folder}/${name}-${width}-${colorScheme}.png`, fullPage: true })
  }
}
