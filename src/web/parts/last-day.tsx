import { TextInput } from "@mantine/core"
import type { ComponentProps, RefObject } from "react"
import { endOfDay } from "../../clinical/days.ts"
import { today } from "../dates.ts"

type LastDayProps = ComponentProps<typeof TextInput> & { field: RefObject<HTMLInputElement | null> }

/** Until when a colleague may read; empty for no end. */
export function LastDay({ field, ...props }: LastDayProps) {
  return (
    <TextInput
      ref={field}
      type="date"
      label="Last day"
      description="Leave empty for no end. It is the server that enforces this date, not encryption; what was read until then stays read."
      min={today()}
      {...props}
    />
  )
}

/** What is wrong with the day in the field. A browser hands out a date that is half typed as if the field were empty, and that would mean
 * no end: the field itself has to be asked. */
export function lastDayProblem(field: HTMLInputElement | null): string | null {
  if (field === null) return null
  const { value, validity } = field
  if (validity.badInput || (value !== "" && endOfDay(value) === null)) return "Finish this date, or clear it."
  return value !== "" && value < today() ? "Choose a day that is not over, or leave it empty." : null
}
