import { findChromium } from "./chromium.ts"

/** Once before all tests: a browser that has to be installed is, and no test's time limit has to allow for it. */
export default async function setup(): Promise<void> {
  await findChromium()
}
