import { useId } from "react"
import classes from "./select-field.module.css"

interface SelectFieldProps<T extends string> {
  label: string
  value: T
  options: readonly { readonly value: T; readonly label: string }[]
  onChange: (value: T) => void
  /** Small, with its label beside it: above a list, not in a form. */
  small?: boolean
}

/** The browser's own choice of one from a few. */
export function SelectField<T extends string>({ label, value, options, onChange, small = false }: SelectFieldProps<T>) {
  const id = useId()
  return (
    <div className={small ? classes.small : undefined}>
      <label htmlFor={id} className={classes.label}>
        {label}
      </label>
      <select
        id={id}
        className={classes.select}
        value={value}
        onChange={(event) => {
          const chosen = options.find((option) => option.value === event.currentTarget.value)
          if (chosen) onChange(chosen.value)
        }}
      >
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
    </div>
  )
}
