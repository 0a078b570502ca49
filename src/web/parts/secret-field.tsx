import { PasswordInput, type PasswordInputProps } from "@mantine/core"

/** A password field with a reachable switch that shows what was typed. */
export function SecretField(props: PasswordInputProps) {
  return (
    <PasswordInput
      visibilityToggleFocusable
      visibilityToggleButtonProps={{ "aria-label": "Show characters" }}
      {...props}
    />
  )
}
