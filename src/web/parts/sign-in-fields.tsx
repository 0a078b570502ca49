import { TextInput } from "@mantine/core"
import type { UseFormReturnType } from "@mantine/form"
import { SecretField } from "./secret-field.tsx"

/** Who signs in, and with what. */
export function SignInFields({ form }: { form: UseFormReturnType<{ username: string; password: string }> }) {
  return (
    <>
      <TextInput
        label="Username"
        autoFocus
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        key={form.key("username")}
        {...form.getInputProps("username")}
      />
      <SecretField
        label="Password"
        autoComplete="current-password"
        key={form.key("password")}
        {...form.getInputProps("password")}
      />
    </>
  )
}
