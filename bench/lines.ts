/** What is measured: five values or more on our side and, where there is one, on the peer's. */
export interface Line {
  readonly name: string
  readonly unit: string
  readonly better: "more" | "less"
  readonly ours: readonly number[]
  /** `null` where nothing is compared, or where the peer could not be measured. */
  readonly peer: readonly number[] | null
  /** The peer, where it is not the Flask application. */
  readonly against?: string
}

/** One line of `--json`: medians; `ratio` above 1 means that we are ahead, whichever way the unit counts. */
export interface JsonLine {
  readonly name: string
  readonly ours: number
  readonly peer: number | null
  readonly ratio: number | null
  readonly unit: string
}

/** How often everything is measured. */
export const rounds = 5

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** @param share 0.99 for the 99th percentile */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}

export function toJson(line: Line): JsonLine {
  const ours = median(line.ours)
  const peer = line.peer === null ? null : median(line.peer)
  const ratio = peer === null ? null : line.better === "more" ? ours / peer : peer / ours
  return { name: line.name, ours, peer, ratio, unit: line.unit }
}

export const header = ["line", "unit", "ours", "peer", "ratio"] as const

/** The cells of a line: name, unit, median (minimum–maximum) of either side, and how many times we are ahead. */
export function cells(line: Line): string[] {
  const { ratio } = toJson(line)
  return [
    line.name,
    line.unit,
    spread(line.ours),
    line.peer === null ? "–" : spread(line.peer) + (line.against === undefined ? "" : ` ${line.against}`),
    ratio === null ? "–" : `${digits(ratio)}×`,
  ]
}

/** A table of text, its columns aligned. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = header.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row.map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))),
    )
    .map((row) => row.join("  "))
    .join("\n")
}

function spread(values: readonly number[]): string {
  return `${digits(median(values))} (${digits(Math.min(...values))}–${digits(Math.max(...values))})`
}

function digits(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3)
}
