import { ActionIcon, TextInput, type TextInputProps } from "@mantine/core"
import IconCalendar from "@tabler/icons-react/dist/esm/icons/IconCalendar.mjs"
import { useRef } from "react"
import { today } from "../dates.ts"
import classes from "./birth-date-field.module.css"

interface BirthDateFieldProps extends Omit<TextInputProps, "onChange" | "value"> {
  value: string
  onChange: (value: string) => void
  onBlur: () => void
}

/** A date that is typed as people type dates, or picked from the browser's own calendar. */
export function BirthDateField({ value, onChange, ...rest }: BirthDateFieldProps) {
  const picker = useRef<HTMLInputElement>(null)
  return (
    <div className={classes.field}>
      <TextInput
        label="Date of birth"
        description="For example 1961-07-09, 9.7.1961 or 9 Jul 1961"
        autoComplete="off"
        inputMode="text"
        value={value}
        onChange={(event) => onChange(event.currentTarget.value)}
        rightSection={
          <ActionIcon variant="subtle" aria-label="Open the calendar" onClick={() => picker.current?.showPicker()}>
            <IconCalendar size={18} stroke={1.75} />
          </ActionIcon>
        }
        {...rest}
      />
      <input
        ref={picker}
        type="date"
        className={classes.picker}
        tabIndex={-1}
        aria-hidden="true"
        min="1875-01-01"
        max={today()}
        value={/^\d{4}-\d{2}-\d{2}$/.test(value) ? value : ""}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    </div>
  )
}
