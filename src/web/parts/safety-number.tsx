import { Fragment } from "react"
import classes from "./safety-number.module.css"

/** Twelve groups of five digits, to be read aloud. Copied, they stay apart.
 * @param digits 60 of them, with or without spaces */
export function SafetyNumber({ digits }: { digits: string }) {
  const groups = digits.replace(/\D/g, "").match(/.{1,5}/g) ?? []
  return (
    <p className={classes.number}>
      {groups.map((group, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: two groups may be alike, and their order is all there is
        <Fragment key={index}>
          <span>{group}</span>{" "}
        </Fragment>
      ))}
    </p>
  )
}
