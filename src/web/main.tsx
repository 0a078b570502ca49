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
import { endForeignWorkers } from "./foreign-workers.ts"
import { createAppRouter } from "./routes.tsx"
import { copyUnmarked } from "./shown.ts"
import { theme } from "./theme.ts"
import { watch } from "./watch.ts"

const root = document.getElementById("root")

// Nothing is shown, and nothing can be typed, before it is known who answers for this page.
if (root && !(await endForeignWorkers())) show(root)

function show(root: HTMLElement): void {
  const app = createApp(createBackend())
  const router = createAppRouter()
  const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? ""
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
  addEventListener("copy", copyUnmarked)
  // The worker is large: its turn comes once the first fields are painted and can be typed in.
  requestAnimationFrame(() => setTimeout(() => watch(app)))
}
