import { PasswordInput, type PasswordInputProps } from "@mantine/core"

/** A password field with a reachable switch that shows what was typed. */
export function SecretField(props: PasswordInputProps) {
  return (
    <PasswordInput
      visibilityToggleFocusable
      visibilityToggleButtonProps={{ "aria-label": "Show characters" }}
      // Mantine marks the frame around it, which no screen reader is on.
      aria-invalid={props.error ? true : undefined}
      {...props}
    />
  )
}
