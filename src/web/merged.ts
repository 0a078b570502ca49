/** What became of a save that met somebody else's: said once, on the record's page. */

export interface Merged {
  /** `both` where no field was changed by both; else whose was chosen where they were, `each` where not the same for all. */
  readonly kept: "both" | "mine" | "theirs" | "each"
  /** "" where it is not known. */
  readonly author: string
}

/** Whose was kept.
 * @param choices by conflict key */
export function keptBy(choices: Readonly<Record<string, "mine" | "theirs">>): Merged["kept"] {
  const [first = "both", ...others] = new Set(Object.values(choices))
  return others.length > 0 ? "each" : first
}

export function mergedWords({ kept, author }: Merged): string {
  const who = author || "Somebody else"
  const other = author ? `the other version (${author})` : "the other version"
  if (kept === "both") return `${who} saved this record at the same time. Both changes are kept.`
  if (kept === "mine") return `Where both of you changed the same, yours is kept; ${other} stays in the history.`
  if (kept === "theirs") return `Where both of you changed the same, ${other} is kept; what you had typed there is not.`
  return `Where both of you changed the same, it is kept as you chose; ${other} stays in the history.`
}
