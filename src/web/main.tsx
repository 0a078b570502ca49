import "./theme.css"
import "@mantine/core/styles/baseline.layer.css"
import "@mantine/core/styles/default-css-variables.layer.css"
import "@mantine/core/styles/global.layer.css"
import "@mantine/core/styles/UnstyledButton.layer.css"
import "@mantine/core/styles/ActionIcon.layer.css"
import "@mantine/core/styles/Loader.layer.css"
import "@mantine/core/styles/Button.layer.css"
import "@mantine/core/styles/Input.layer.css"
import "@mantine/core/styles/PasswordInput.layer.css"
import { MantineProvider } from "@mantine/core"
import { RouterProvider } from "@tanstack/react-router"
import { createRoot } from "react-dom/client"
import { AppProvider, createApp } from "./app.ts"
import { createBackend } from "./backend.ts"
import { createAppRouter } from "./routes.tsx"
import { copyUnmarked } from "./shown.ts"
import { theme } from "./theme.ts"
import { watch } from "./watch.ts"

const backend = createBackend()
const app = createApp(backend)
const router = createAppRouter()
const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? ""
const root = document.getElementById("root")

if (root) {
  createRoot(root).render(
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      getStyleNonce={() => nonce}
      withCssVariables={false}
      withGlobalClasses={false}
      withStaticClasses={false}
    >
      <AppProvider value={app}>
        <RouterProvider router={router} />
      </AppProvider>
    </MantineProvider>,
  )
}

addEventListener("copy", copyUnmarked)

// The worker is large: its turn comes once the first fields are painted and can be typed in.
requestAnimationFrame(() => setTimeout(() => watch(app)))
