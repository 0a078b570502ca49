import { expect } from "vitest"

/** Demands that what was recomputed is what the page says, value by value. */
export function expectOnPage(example: (name: string) => string, made: Readonly<Record<string, string | number>>): void {
  const page = Object.keys(made).map((name) => [name, example(name)])
  expect(Object.fromEntries(Object.entries(made).map(([name, value]) => [name, String(value)]))).toEqual(
    Object.fromEntries(page),
  )
}

export function hex(value: Uint8Array): string {
  return Buffer.from(value).toString("hex")
}

export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(text, "hex"))
}
