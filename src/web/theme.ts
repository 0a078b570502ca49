/** What Mantine's components are told; the colours themselves are variables of theme.css, for light and dark. */
import { Button, createTheme, type MantineColorsTuple, PasswordInput, Textarea, TextInput } from "@mantine/core"

const teal: MantineColorsTuple = [
  "#eef7f7",
  "#dcecec",
  "#b4d8d9",
  "#84bfc1",
  "#57a7aa",
  "#2f8f94",
  "#16757c",
  "#0b5f66",
  "#094d53",
  "#063b40",
]

/** Labels are exact: no asterisk beside them, every field is required unless its help says otherwise. */
const field = {
  size: "md",
  withAsterisk: false,
  errorProps: { role: "alert" },
  classNames: { wrapper: "field" },
} as const

export const theme = createTheme({
  primaryColor: "teal",
  primaryShade: { light: 7, dark: 6 },
  colors: { teal },
  defaultRadius: "sm",
  respectReducedMotion: true,
  cursorType: "pointer",
  components: {
    Button: Button.extend({ defaultProps: { size: "sm" } }),
    TextInput: TextInput.extend({ defaultProps: field }),
    Textarea: Textarea.extend({ defaultProps: field }),
    PasswordInput: PasswordInput.extend({ defaultProps: field }),
  },
})
