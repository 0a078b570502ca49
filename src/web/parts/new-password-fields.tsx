import { SecretField } from "./secret-field.tsx"

type Name = "password" | "confirm"

interface Fields {
  key(name: Name): string
  getInputProps(name: Name): object
}

/** A password that is being chosen, typed twice. @param what "Password" or "New password" */
export function NewPasswordFields({ form, what }: { readonly form: Fields; readonly what: string }) {
  return (
    <>
      <SecretField
        label={what}
        description="At least 12 characters. A few unrelated words do well."
        autoComplete="new-password"
        key={form.key("password")}
        {...form.getInputProps("password")}
      />
      <SecretField
        label={`Confirm ${what.toLowerCase()}`}
        autoComplete="new-password"
        key={form.key("confirm")}
        {...form.getInputProps("confirm")}
      />
    </>
  )
}
