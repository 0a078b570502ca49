import fc from "fast-check"
import { expect, it } from "vitest"
import { utf8 } from "./bytes.ts"
import { isSmallJson } from "./json-size.ts"

function nodesIn(value: unknown): number {
  const inner = typeof value === "object" && value !== null ? Object.values(value) : []
  return inner.reduce<number>((sum, one) => sum + nodesIn(one), 1)
}

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

it("never takes what has more values, or is deeper", () => {
  const property = fc.property(fc.jsonValue({ maxDepth: 5 }), fc.nat(2), (value, indent) => {
    const bytes = utf8(JSON.stringify(value, null, indent))
    const [nodes, depth] = [nodesIn(value), depthOf(value)]
    if (depth > 0) expect(isSmallJson(bytes, nodes - 1, depth)).toBe(false)
    if (depth > 0) expect(isSmallJson(bytes, nodes * 2, depth - 1)).toBe(false)
    // Each list and object is counted once more, for the value that could begin in it.
    expect(isSmallJson(bytes, nodes * 2, depth)).toBe(true)
  })
  fc.assert(property, { numRuns: 500 })
})

it("passes over texts, whatever stands in them", () => {
  for (const text of [String.raw`"\\",[0`, String.raw`"[[[[{,,,,\\\""`, String.raw`{"[":"\"],,"}`])
    expect(isSmallJson(utf8(text), 4, 1)).toBe(true)
  expect(isSmallJson(utf8('"no end,,,,'), 4, 1)).toBe(true)
  expect(isSmallJson(utf8(`[${"[0],".repeat(60_000)}[0]]`), 100_000, 16)).toBe(false)
})
